import Fin
import Foundation

/// Sends a file and reports whether it arrived: `sendfile picture.png localhost:7777`, with `ncat -l 7777 > copy` as
/// the receiver.
///
/// The exit status is 0 when the receiver's machine has every byte, 1 when bytes are missing or their delivery is
/// unknown, and 2 when the file could not be read or there was no connection.
@main
enum SendFile {
  static func main() {
    guard CommandLine.arguments.count == 3 else {
      print("usage: sendfile path host:port")
      exit(64)
    }
    guard let file = FileHandle(forReadingAtPath: CommandLine.arguments[1]) else {
      print("\(CommandLine.arguments[1]) cannot be read")
      exit(2)
    }
    do {
      let connection = try Connection.connect(to: Endpoint(parsing: CommandLine.arguments[2]))

      var accepted = 0
      do {
        while let part = try file.read(upToCount: 1 << 20), !part.isEmpty {
          try connection.send(part)
          accepted += part.count
        }
      } catch {
        // Aborts instead of closing, so that the receiver does not take half a file for a whole one.
        print("\(accepted) bytes were accepted, then: \(error)")
        print(connection.abort())
        exit(1)
      }

      // Waits until the receiver has finished too. Programs such as ncat finish when they have read everything.
      let end = connection.close(.lingering(within: .seconds(60), idle: .seconds(10), discarding: 1 << 20))
      print("\(accepted) bytes were accepted; \(end)")
      switch end.ending {
      case .peerFinished, .truncated: print("delivered, and the receiver closed after it")
      case .acknowledged: print("delivered to the receiver's machine; its program has not closed")
      case .discardedByPeer: print("delivered to the receiver's machine; its program did not read it all")
      case .reset, .timedOut, .aborted, .background, .shared, .detached: print("not delivered")
      }
      exit(end.isDelivered ? 0 : 1)
    } catch {
      print(error)
      exit(2)
    }
  }
}

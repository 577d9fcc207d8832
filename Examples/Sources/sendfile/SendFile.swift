import Fin
import Foundation

/// Sends a file and says whether it arrived: `sendfile picture.png localhost:7777`, with `ncat -l 7777 > copy` there.
///
/// Exit status 0 when the receiver's machine has every byte, 1 when it has not or nobody knows, 2 when there was no file or
/// no connection.
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
        // Not an end but a break: the receiver must not take half a file for a whole one.
        print("\(accepted) bytes were accepted, then: \(error)")
        print(connection.abort())
        exit(1)
      }

      // Until the receiver has finished too, which programs like ncat do when they have read it all.
      let end = connection.close(.lingering(within: .seconds(60), idle: .seconds(10), discarding: 1 << 20))
      print("\(accepted) bytes were accepted; \(end)")
      switch end.ending {
      case .peerFinished: print("delivered, and the receiver closed after it")
      case .acknowledged: print("delivered to the receiver's machine; its program has not closed")
      case .discardedByPeer: print("delivered to the receiver's machine; its program did not read it all")
      case .reset, .timedOut, .aborted, .background: print("not delivered")
      }
      exit(end.isDelivered ? 0 : 1)
    } catch {
      print(error)
      exit(2)
    }
  }
}

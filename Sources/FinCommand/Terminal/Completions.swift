import ArgumentParser
import FinDoctor

/// The words that a shell offers when the user presses Tab: names that are on the machine, and names that fin has.
enum Completions {
  /// Programs with sockets, by name and by script.
  static let programs = words { census in
    census.programs.values.flatMap { [$0.name, $0.script].compactMap { $0 } }
  }

  /// Ports at either end of a socket.
  static let ports = words { census in
    census.sockets.flatMap { [$0.localPort, $0.remotePort] }.filter { $0 != 0 }.map { "\($0)" }
  }

  /// Network namespaces, by name.
  static let namespaces = words { census in census.namespaces.map(\.name) }

  /// Findings, by code and by name.
  static let findings = CompletionKind.list(FindingID.allCases.flatMap { [$0.rawValue, $0.name] })

  private static func words(_ words: @escaping @Sendable (Census) -> [String]) -> CompletionKind {
    .custom { _, _, _ in
      var options = Census.Options()
      options.readsDetails = false
      options.readsUnixSockets = false
      options.readsLimits = false
      options.loadsProgram = false
      guard let census = try? Census.take(options) else { return [] }
      // A program chooses its name: a shell is given none that it could take for more than a word.
      return Set(words(census)).filter { !$0.isEmpty && $0.utf8.allSatisfy(isPlain) }.sorted()
    }
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    case UInt8(ascii: "0")...UInt8(ascii: "9"): true
    default: "._-+@/".utf8.contains(byte)
    }
  }
}

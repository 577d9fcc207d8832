import ArgumentParser
import FinDoctor

/// The subject that the arguments of `fin explain` name.
enum ExplainSubject {
  case process(Int32)
  case descriptor(Int32, Int32)
  case place(AddressPort, AddressPort?)
  case unixName(String)
  case bind(WrittenAddress, UInt16)

  /// Parses the arguments of the command line.
  /// - Throws: `ValidationError`, which says what the arguments may be.
  init(_ words: [String]) throws {
    guard let first = words.first else {
      throw ValidationError("Missing argument: PID, PID:FD, ADDR:PORT, or bind ADDR:PORT.")
    }
    if first == "bind" {
      guard words.count == 2 else { throw ValidationError("bind takes one address and port: fin explain bind :8080.") }
      let end = try EndArgument(words[1])
      guard end.port > 0 else { throw ValidationError("Port 0 stands for any free port: there is nothing to explain.") }
      self = .bind(end.address ?? WrittenAddress(NetworkAddress(AddressBits(), isIPv6: true)), end.port)
      return
    }
    let parts = words.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }
    guard parts.count <= 2 else { throw ValidationError("At most two addresses: the two ends of one connection.") }
    if first.hasPrefix("/") || first.hasPrefix("@") {
      guard words.count == 1 else { throw ValidationError("Only one Unix socket can be explained at a time.") }
      self = .unixName(first)
      return
    }
    if parts.count == 1, let subject = Self(number: first) {
      self = subject
      return
    }
    let ends = try parts.map { try EndArgument($0) }
    guard ends.allSatisfy({ $0.port > 0 }) else { throw ValidationError("A port is a number from 1 to 65535.") }
    self = .place(ends[0].place, ends.count > 1 ? ends[1].place : nil)
  }

  /// The interfaces that the addresses name.
  var interfaceNames: Set<String> {
    switch self {
    case .place(let place, let other): Set([place, other].compactMap { $0?.address?.interfaceName })
    case .bind(let address, _): Set([address.interfaceName].compactMap { $0 })
    case .process, .descriptor, .unixName: []
    }
  }

  /// Parses `812` or `812:7`.
  private init?(number text: String) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { part in part.allSatisfy(\.isASCIIDigit) ? Int32(part) : nil }
    guard numbers.count == parts.count, numbers[0] > 0 else { return nil }
    switch numbers.count {
    case 1: self = .process(numbers[0])
    case 2: self = .descriptor(numbers[0], numbers[1])
    default: return nil
    }
  }
}

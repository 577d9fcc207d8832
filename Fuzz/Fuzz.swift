import FinBase
import Glibc

// Fuzzers over every reader of bytes that other programs, the kernel or other users write. `Fuzz/run` builds and runs
// them; the variable FIN_FUZZ selects one.
@testable import FinDoctor

/// The readers, by name.
enum Reader: String, CaseIterable {
  case netlink, fdinfo, proc, ledger, bpf, helper, json, census, history, http, proxy, handover, tables

  /// Reads the bytes. A trap, a read beyond the bytes and an endless loop are defects.
  func read(_ bytes: [UInt8]) {
    switch self {
    case .netlink: readNetlink(bytes)
    case .fdinfo: readFdinfo(bytes)
    case .proc: readProc(bytes)
    case .ledger: readLedger(bytes)
    case .bpf: readBPF(bytes)
    case .helper: readHelper(bytes)
    case .json: readJSON(bytes)
    case .census: readCensus(bytes)
    case .history: readHistory(bytes)
    case .http: readHTTP(bytes)
    case .proxy: readProxy(bytes)
    case .handover: readHandover(bytes)
    case .tables: readTables(bytes)
    }
  }

  static let selected: Reader = {
    let name = unsafe getenv("FIN_FUZZ").map { unsafe String(cString: $0) } ?? ""
    guard let reader = Reader(rawValue: name) else {
      fatalError("FIN_FUZZ must be one of \(Reader.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return reader
  }()
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  Reader.selected.read(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

/// Ends the fuzzer with a message when a reader has invented something.
func require(_ condition: Bool, _ message: StaticString) {
  guard condition else { fatalError("\(message)") }
}

/// Whether a text can be printed: no control character, and no character that changes the reading direction.
func requirePrintable(_ text: String?) {
  let bad: (Unicode.Scalar) -> Bool = {
    $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) || (0x202a...0x202e).contains($0.value)
      || (0x2066...0x2069).contains($0.value)
  }
  require(text?.unicodeScalars.contains(where: bad) != true, "a text is not printable")
}

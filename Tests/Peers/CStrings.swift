import CPeers
import Glibc

/// Calls `body` with the strings in the form of C's `argv`: an array of pointers that ends with NULL.
func withCStrings<R>(
  _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> R
) -> R {
  let copies = unsafe strings.map { unsafe strdup($0) } + [nil]
  defer {
    for index in unsafe copies.indices { unsafe free(copies[index]) }
  }
  return unsafe copies.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}

/// The environment of this process, one `NAME=value` per element.
func environmentLines() -> [String] {
  var lines: [String] = []
  var next = unsafe peers_environment()
  while let line = unsafe next.pointee {
    unsafe lines.append(String(cString: line))
    unsafe next += 1
  }
  return lines
}

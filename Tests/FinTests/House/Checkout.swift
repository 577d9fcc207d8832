import Glibc
import SystemPackage

/// The files of this package as they lie on the disk: what is tracked, as far as one can tell without asking git.
enum Checkout {
  /// The package's root, found from where this file was compiled.
  static let root: String = {
    var path = FilePath(#filePath)
    for _ in 0..<4 { path.removeLastComponent() }
    return path.string
  }()

  /// Text files by their path relative to the root. Build products, work files and git's own are left out.
  static let files: [File] = read(folder: "")

  struct File: Sendable {
    let path: String
    let text: String
    let source: SwiftText
  }

  private static let skipped: Set<String> = [".git", ".swiftpm", "Package.resolved", "Proof/work"]

  private static func read(folder: String) -> [File] {
    guard let directory = unsafe opendir(folder.isEmpty ? root : "\(root)/\(folder)") else { return [] }
    defer { unsafe closedir(directory) }
    var files: [File] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      let path = folder.isEmpty ? name : "\(folder)/\(name)"
      if name == "." || name == ".." || name.hasPrefix(".build") || skipped.contains(path) { continue }
      switch unsafe Int32(entry.pointee.d_type) {
      case Int32(DT_DIR): files += read(folder: path)
      case Int32(DT_REG):
        if let text = text(of: "\(root)/\(path)") {
          files.append(File(path: path, text: text, source: SwiftText(text)))
        }
      default: continue
      }
    }
    return files.sorted { $0.path < $1.path }
  }

  /// The file's text, or `nil` where it is none.
  private static func text(of path: String) -> String? {
    guard let descriptor = try? FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec) else {
      return nil
    }
    defer { try? descriptor.close() }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while let count = try? unsafe block.withUnsafeMutableBytes({ try unsafe descriptor.read(into: $0) }), count > 0 {
      bytes += block[..<count]
    }
    return String(validating: bytes, as: UTF8.self)
  }
}

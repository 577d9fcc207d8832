internal import FinBase

extension Language {
  /// The language of the program that a process runs, judged by the section names that its compiler left in
  /// the executable.
  ///
  /// Another user may have written the file: every offset and length in it is checked against the bytes that were read.
  ///
  /// The file may be on a server that does not answer; then the language is unknown.
  static func reading(_ pid: Int32, user: UInt32? = nil) -> (Language, isSilent: Bool) {
    var isSilent = false
    let names = sectionNames { offset, count in
      let answer = Helpers.perform(.read(path: "/proc/\(pid)/exe", offset: offset, limit: count), of: pid, user: user)
      isSilent = isSilent || answer.isSilent
      return answer.failure == nil ? answer.bytes : nil
    }
    guard let names else { return (.unknown, isSilent) }
    return (Language(sections: names.split(separator: 0).map { visible($0)[...] }), isSilent)
  }

  /// Reads the table of section names of a 64-bit little-endian ELF file (`elf.h`).
  static func sectionNames(_ read: (_ offset: UInt64, _ count: Int) -> [UInt8]?) -> [UInt8]? {
    guard let header = read(0, 64), header.count == 64, header.begins(with: "\u{7f}ELF"), header[4] == 2, header[5] == 1
    else { return nil }
    let table = header.number(at: 40, as: UInt64.self)
    let size = UInt64(header.number(at: 58, as: UInt16.self))
    let index = UInt64(header.number(at: 62, as: UInt16.self))
    let (place, isTooFar) = table.addingReportingOverflow(size * index)
    guard size == 64, !isTooFar, place < 1 << 40, let section = read(place, 64), section.count == 64 else {
      return nil
    }
    let names = section.number(at: 24, as: UInt64.self)
    let length = section.number(at: 32, as: UInt64.self)
    guard names < 1 << 40, length > 0, length <= 1 << 16 else { return nil }
    return read(names, Int(length))
  }
}

extension [UInt8] {
  fileprivate func number<Number: FixedWidthInteger>(at offset: Int, as type: Number.Type) -> Number {
    self[offset..<offset + Number.bitWidth / 8].reversed().reduce(0) { $0 << 8 | Number($1) }
  }
}

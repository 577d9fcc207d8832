internal import CFin
internal import Glibc

/// A program for the machine inside the kernel, instruction by instruction (BPF, RFC 9669), as far as it is needed here.
struct KernelProgram {
  private var code: [UInt64] = []
  /// Jumps to the end, whose distance is known when the end is.
  private var leaving: [Int] = []

  /// R0 is what the program gives back, R1 to R5 are what is handed over and are lost by a call, R6 to R9 stay.
  enum Register: UInt8 {
    case r0, r1, r2, r3, r4, r5, r6, r7, r8, r9
    /// The end of 512 bytes of memory.
    case frame
  }

  enum Width: UInt8 {
    case word = 0x00
    case doubleWord = 0x18
  }

  /// `to = *(from + offset)`
  mutating func load(_ to: Register, _ from: Register, _ offset: Int, _ width: Width = .doubleWord) {
    add(0x61 | width.rawValue, to, from, offset)
  }

  /// `*(frame + offset) = from`, 32 bits.
  mutating func store(_ from: Register, at offset: Int) { add(0x63, .frame, from, offset) }

  /// `to = from`
  mutating func copy(_ to: Register, _ from: Register) { add(0xbf, to, from) }

  /// `to = value`
  mutating func set(_ to: Register, _ value: Int32) { add(0xb7, to, .r0, 0, value) }

  /// `to += value`
  mutating func add(_ to: Register, _ value: Int32) { add(0x07, to, .r0, 0, value) }

  /// A function of the kernel, by its number.
  mutating func call(_ function: Int32) { add(0x85, .r0, .r0, 0, function) }

  /// Ends when it is zero.
  mutating func leave(ifZero register: Register) {
    leaving.append(code.count)
    add(0x15, register, .r0)
  }

  /// Ends when they differ.
  mutating func leave(unless register: Register, is other: Register) {
    leaving.append(code.count)
    add(0x5d, register, other)
  }

  /// Ends when it is none of these; they are compared as 32 bits.
  mutating func leave(unless register: Register, isOneOf values: [UInt32]) {
    for (index, value) in values.enumerated() {
      // Over the questions that are left, and over the jump to the end behind them.
      add(0x16, register, .r0, values.count - index, Int32(bitPattern: value))
    }
    leaving.append(code.count)
    add(0x05, .r0, .r0)
  }

  /// The end, which gives back 0.
  consuming func ended() -> [UInt64] {
    for place in leaving { code[place] |= UInt64(UInt16(code.count - place - 1)) << 16 }
    set(.r0, 0)
    add(0x95, .r0, .r0)
    return code
  }

  private mutating func add(
    _ operation: UInt8, _ to: Register, _ from: Register, _ offset: Int = 0, _ value: Int32 = 0
  ) {
    code.append(
      UInt64(operation) | UInt64(to.rawValue) << 8 | UInt64(from.rawValue) << 12
        | UInt64(UInt16(bitPattern: Int16(offset))) << 16 | UInt64(UInt32(bitPattern: value)) << 32)
  }
}

/// A program that the kernel runs once for each thing that it goes over, and what the program writes, to be read.
struct KernelIterator: ~Copyable {
  private let written: OwnDescriptor

  /// Loads the program and begins. It needs `CAP_BPF` and `CAP_PERFMON`, or root.
  /// - Parameters:
  ///   - program: Its instructions.
  ///   - number: The type number of the kernel's function that goes over the things.
  init(_ program: [UInt64], over number: Int) throws(KernelError) {
    let loaded = OwnDescriptor(
      adopting: CInt(try calling { unsafe Int(fin_bpf_load(program, UInt32(program.count), UInt32(number))) }))
    let link = OwnDescriptor(adopting: CInt(try calling { Int(fin_bpf_link(loaded.number)) }))
    written = OwnDescriptor(adopting: CInt(try calling { Int(fin_bpf_iterate(link.number)) }))
  }

  /// Everything that it writes, in pieces that hold whole records.
  func forEachPiece(_ body: (RawSpan) -> Void) throws(KernelError) {
    try unsafe withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 16) { room throws(KernelError) in
      while true {
        let count: Int
        do throws(KernelError) {
          count = try calling { unsafe Glibc.read(written.number, room.baseAddress!, room.count) }
        } catch KernelError.again {
          continue  // It went over a million things and wrote nothing: it goes on where it was.
        }
        if count == 0 { return }
        unsafe body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: room[..<count])))
      }
    }
  }
}

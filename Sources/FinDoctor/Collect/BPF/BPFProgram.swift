internal import CFin
internal import FinBase
internal import Glibc

/// A minimal BPF assembler (RFC 9669): only the instructions that are needed here.
struct BPFProgram {
  private var code: [UInt64] = []
  /// The jumps to the end of the program. Their distances are filled in when the end is known.
  private var leaving: [Int] = []

  /// The registers: R0 holds the return value, R1 to R5 hold arguments and are lost in a call, R6 to R9 survive a call.
  enum Register: UInt8 {
    case r0, r1, r2, r3, r4, r5, r6, r7, r8, r9
    /// The frame pointer: the end of 512 bytes of stack.
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

  /// Calls a kernel helper function by its number.
  mutating func call(_ function: Int32) { add(0x85, .r0, .r0, 0, function) }

  /// Ends the program if the register is zero.
  mutating func leave(ifZero register: Register) {
    leaving.append(code.count)
    add(0x15, register, .r0)
  }

  /// Ends the program if the registers differ.
  mutating func leave(unless register: Register, is other: Register) {
    leaving.append(code.count)
    add(0x5d, register, other)
  }

  /// Ends the program if the register has none of these values; 32 bits are compared.
  mutating func leave(unless register: Register, isOneOf values: [UInt32]) {
    for (index, value) in values.enumerated() {
      // A match jumps over the remaining comparisons and over the jump to the end behind them.
      add(0x16, register, .r0, values.count - index, Int32(bitPattern: value))
    }
    leaving.append(code.count)
    add(0x05, .r0, .r0)
  }

  /// Returns the finished program, with an end that returns 0.
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

/// A BPF iterator: the kernel runs a program once for each object of a kind, and the program's output is read here.
struct BPFIterator: ~Copyable {
  private let written: Descriptor

  /// Loads and attaches the program. It needs `CAP_BPF` and `CAP_PERFMON`, or root.
  /// - Parameters:
  ///   - program: The instructions.
  ///   - number: The BTF type number of the kernel function that defines the iterator.
  init(_ program: [UInt64], over number: Int) throws(KernelError) {
    // A helper makes the calls: where a filter of system calls forbids them, the one that makes them may be killed.
    let answer = Helpers.perform(.openFiles(program: program, function: UInt32(number)), of: ThisProcess.pid)
    if let failure = answer.failure { throw failure }
    guard answer.descriptor >= 0 else { throw KernelError(code: EBADF) }
    written = Descriptor(owning: answer.descriptor)
  }

  /// Calls `body` with all output of the program, in pieces that hold whole records.
  func forEachPiece(_ body: (RawSpan) -> Void) throws(KernelError) {
    try unsafe withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 16) { room throws(KernelError) in
      while true {
        let count: Int
        do throws(KernelError) {
          count = try calling { unsafe Glibc.read(written.number, room.baseAddress!, room.count) }
        } catch KernelError.again {
          continue  // A million objects without output: the next read continues from there.
        }
        if count == 0 { return }
        unsafe body(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: room[..<count])))
      }
    }
  }
}

import FinBase
import Glibc
import Testing

@testable import FinDoctor

@Suite("A process has ended when its last thread has, and not when it cannot be read")
struct EndingProcessTests {
  /// The `stat` of a process that is called `a) b (`.
  private func stat(flags: Int, threads: Int) -> [UInt8] {
    Array("7 (a) b () Z 1 7 7 0 -1 \(flags) 1 2 3 4 5 6 7 8 20 0 \(threads) 0 123 0 0\n".utf8)
  }

  @Test("the flag of a process that exits, with one thread; other flags and more threads do not count")
  func flags() {
    #expect(ProcessState.isEnding(stat: stat(flags: 0x40_0004, threads: 1)))
    #expect(ProcessState.isEnding(stat: stat(flags: 4, threads: 0)))
    #expect(
      !ProcessState.isEnding(stat: stat(flags: 4, threads: 2)), "its first thread has ended, and another one runs")
    #expect(!ProcessState.isEnding(stat: stat(flags: 0x40_0100, threads: 1)))
    for text in ["", "7 (a", "7 (a) S 1 7 7 0 -1 4", "7 (a) S 1 7 7 0 -1 x 1 2 3 4 5 6 7 8 20 0 1 0"] {
      #expect(!ProcessState.isEnding(stat: Array(text.utf8)), "\(text)")
    }
  }

  @Test("no such process has ended; one that may not be read, or that cannot be read now, has not")
  func unreadable() {
    func isEnding(_ code: CInt) -> Bool {
      ProcessState.isEnding { () throws(KernelError) in throw KernelError(code: code) }
    }
    #expect(isEnding(ENOENT) && isEnding(ESRCH))
    for code in [EPERM, EACCES, EMFILE, EINTR, EIO] { #expect(!isEnding(code), "errno \(code)") }
    #expect(!ProcessState.isEnding(getpid()))
  }
}

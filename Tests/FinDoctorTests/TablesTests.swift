import TestTraits
import Testing

@testable import FinDoctor

@Suite("Lookups by inode, process, cookie and port agree with plain dictionaries and sets", .onThreads)
struct TablesTests {
  @Test("holders by inode equal those in a dictionary, in the order of processes and descriptors")
  func holders() {
    var dice = SeededDice(seed: 3)
    var all: ContiguousArray<Holder> = []
    for number in 0..<20_000 {
      // Few inodes, so that many have several holders, and far apart.
      let inode = UInt32(dice.next() % 9000) &* 477_218 &+ 1
      all.append(Holder(inode: inode, pid: Int32(dice.next() % 50), descriptor: Int32(number)))
    }
    let holders = Holders(sockets: all)
    let expected = Dictionary(grouping: all, by: \.inode).mapValues { some in
      some.sorted { ($0.pid, $0.descriptor) < ($1.pid, $1.descriptor) }
    }
    #expect(expected.allSatisfy { Array(holders[$0]) == $1 && holders.first(of: $0) == $1.first })
    #expect(holders.entries.count == all.count)
    #expect(
      (0..<1000).allSatisfy { _ in
        let inode = UInt32(truncatingIfNeeded: dice.next())
        return Array(holders[inode]) == expected[inode] ?? []
      })
    #expect(Holders(sockets: [])[5].isEmpty)
  }

  @Test("processes and their epoll instances are found by process id")
  func processes() {
    let processes = [9, 3, 7].map { HoldingProcess(pid: $0, user: UInt32($0)) }
    let epolls = [(7, 5), (3, 9), (7, 4)].map { Holder(inode: 0, pid: $0.0, descriptor: $0.1) }
    let holders = Holders(sockets: [], processes: ContiguousArray(processes), epolls: ContiguousArray(epolls))
    #expect(holders.process(7)?.user == 7 && holders.process(8) == nil && holders.process(10) == nil)
    #expect(holders.epolls(of: 7) == [4, 5] && holders.epolls(of: 3) == [9] && holders.epolls(of: 4) == [])
  }

  @Test("a number set reports each number as new exactly once")
  func numbers() {
    var dice = SeededDice(seed: 5)
    var ours = NumberSet()
    var theirs: Set<UInt64> = []
    var wrong = 0
    for _ in 0..<50_000 {
      // Cookies are mostly small consecutive numbers; some are far apart.
      let number = dice.next() % 2 == 0 ? dice.next() % 30_000 + 1 : dice.next() | 1
      if ours.contains(number) != theirs.contains(number) { wrong += 1 }
      if ours.insert(number) != theirs.insert(number).inserted { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(ours.insert(0) && ours.insert(0) && !ours.contains(0))
  }

  @Test("the ephemeral ports are the range without the reserved ports")
  func ports() {
    var limits = KernelLimits()
    #expect(limits.ephemeralPortCount == nil && !limits.isEphemeral(40_000))
    limits.ephemeralPorts = 1000...1999
    limits.reservedPorts = [80...80, 1990...2010, 1500...1500]
    #expect(limits.ephemeralPortCount == 989)
    #expect(
      limits.isEphemeral(1000) && !limits.isEphemeral(1500) && !limits.isEphemeral(1995) && !limits.isEphemeral(80))
  }
}

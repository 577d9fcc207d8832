import CFin
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

extension Rights {
  /// Whether programs may be loaded into this kernel, and it tells what its types are; and processes have the numbers that it
  /// counts them by, which in a container they have not.
  static let canLoadPrograms: Bool = {
    // Nothing to be loaded is refused as too short, unless everything is.
    let isAllowed = unsafe fin_bpf_load([], 0, 0) < 0 && fin_errno() != EPERM && fin_errno() != ENOSYS
    let isTold = unsafe access("/sys/kernel/btf/vmlinux", R_OK) == 0
    let isCountedAlike = (try? Files.link("/proc/self/ns/pid")) == Array("pid:[4026531836]".utf8)
    return isAllowed && isTold && isCountedAlike
  }()
}

@Suite(
  "One pass of the kernel over its tables says what the links of all descriptors say",
  .enabled(if: Rights.canLoadPrograms && Rights.canMakeNamespaces, "needs the right to load a program into the kernel"),
  .onThreads, .timeLimit(.minutes(30)))
struct OpenFilesTests {
  private func layout() throws -> OpenFiles.Layout { try #require(OpenFiles.Layout.ofRunningKernel) }

  @Test("sockets, epoll sets, ledgers, namespaces and rings: the same descriptors, and nothing that is none of them")
  func agreement() throws {
    try Scene.with("open_files") { scene in
      let pid = scene.pid
      let inOnePass = try #require(DescriptorReading.readInOnePass([pid, .max], least: 0))
      let links = DescriptorReading.read([pid, .max], threads: 1)
      func numbers(_ holders: ContiguousArray<Holder>) -> Set<Holder> { Set(holders.filter { $0.pid == pid }) }
      #expect(numbers(inOnePass.sockets) == numbers(links.sockets))
      for kind in [\DescriptorReading.epolls, \.ledgers, \.namespaces, \.rings] {
        let found = inOnePass[keyPath: kind].filter { $0.pid == pid }
        #expect(Set(found) == numbers(links[keyPath: kind]) && Set(found).count == found.count)
      }
      #expect(inOnePass.processes.first { $0.pid == pid } == links.processes.first)
      #expect(inOnePass.ended.contains(.max) && !inOnePass.ended.contains(pid))

      let sockets = inOnePass.sockets.filter { $0.pid == pid }
      // All but the epoll set, and the one of the thread with descriptors of its own.
      #expect(try sockets.count == scene.number(6) - 1 && Set(sockets).count == sockets.count)
      #expect(try sockets.contains(Holder(inode: UInt32(scene.number(0)), pid: pid, descriptor: 900)))
      #expect(try !sockets.contains { try $0.inode == UInt32(scene.number(5)) })
      func only(_ holders: ContiguousArray<Holder>) -> [Int32] { holders.filter { $0.pid == pid }.map(\.descriptor) }
      #expect(try only(inOnePass.epolls) == [Int32(scene.number(1))])
      #expect(try only(inOnePass.ledgers) == [Int32(scene.number(2))])
      #expect(try only(inOnePass.namespaces) == [Int32(scene.number(3))])
      let ring = try Int32(scene.number(4))
      #expect(only(inOnePass.rings) == (ring < 0 ? [] : [ring]))
    }
  }

  @Test("who was not there when the processes were counted is read all the same")
  func born() throws {
    try Scene.with("open_files") { scene in
      let reading = try #require(DescriptorReading.readInOnePass([getpid()], least: 0))
      #expect(reading.processes.contains { $0.pid == scene.pid && $0.isReadable && ($0.descriptorCount ?? 0) > 10 })
      #expect(reading.sockets.contains { $0.pid == scene.pid && $0.descriptor == 900 })
    }
  }

  @Test("a layout that is not this kernel's is not believed, whatever it makes the program read")
  func wrongLayout() throws {
    let right = try layout()
    #expect(OpenFiles.forEach(right) { _ in })
    let members: [WritableKeyPath<OpenFiles.Layout, Int>] = [\.tgid, \.inode, \.number, \.fileSystem, \.magic]
    for member in members {
      for step in [-64, -8, 8, 64, 4096] {
        var wrong = right
        wrong[keyPath: member] = max(0, right[keyPath: member] + step)
        guard wrong != right else { continue }
        #expect(!OpenFiles.forEach(wrong) { _ in }, "\(member) \(step)")
        #expect(DescriptorReading.readInOnePass([getpid()], least: 0, wrong) == nil)
      }
    }
    var another = right
    for iterator in [0, 1, right.iterator - 1, Int(Int32.max)] {
      another.iterator = iterator
      #expect(!OpenFiles.forEach(another) { _ in })
    }
  }

  @Test("where few descriptors are open no program is loaded, and none where it is not wanted")
  func few() throws {
    var isAsked = false
    func asked() -> OpenFiles.Layout? {
      isAsked = true
      return nil
    }
    #expect(DescriptorReading.readInOnePass([getpid()], asked()) == nil && !isAsked)
    #expect(DescriptorReading.readInOnePass([getpid()], least: 1, asked()) == nil && isAsked)
    #expect(Census.Options().loadsProgram)
  }

  @Test("nothing of it is left: no program, no link, no iterator, and not the socket that it is known by")
  func nothingLeft() throws {
    for _ in 0..<20 { #expect(try OpenFiles.forEach(layout()) { _ in }) }
    // Others do the same just now, each for a moment.
    try eventually(within: .seconds(30), "no descriptor of ours is a program, a link or an iterator") {
      try KernelView.openDescriptors().allSatisfy { !$0.target.hasPrefix("anon_inode:bpf") }
    }
  }
}

@Suite("The kernel's description of its types is read as far as it goes, and no further")
struct KernelTypesTests {
  /// A description of a few types, made by hand.
  private struct Description {
    var types: [UInt8] = []
    var names: [UInt8] = [0]

    mutating func name(_ text: String) -> UInt32 {
      if text.isEmpty { return 0 }
      defer { names += Array(text.utf8) + [0] }
      return UInt32(names.count)
    }

    /// `more` is what stands behind the type's twelve bytes.
    mutating func add(_ name: String, kind: UInt32, count: UInt32 = 0, flag: UInt32 = 0, _ more: [UInt32] = []) {
      for word in [self.name(name), flag << 31 | kind << 24 | count, 0] + more {
        types += Self.bytes(of: word)
      }
    }

    mutating func structure(
      _ name: String, kind: UInt32 = 4, flag: UInt32 = 0, _ members: [(name: String, type: UInt32, bits: UInt32)]
    ) {
      let words = members.flatMap { [self.name($0.name), $0.type, $0.bits] }
      add(name, kind: kind, count: UInt32(members.count), flag: flag, words)
    }

    private static func bytes(of word: UInt32) -> [UInt8] {
      (0..<4).map { UInt8(truncatingIfNeeded: word.littleEndian >> (8 * $0)) }
    }

    var bytes: [UInt8] {
      var all: [UInt8] = [0x9f, 0xeb, 1, 0]
      for word in [24, 0, UInt32(types.count), UInt32(types.count), UInt32(names.count)] {
        all += Self.bytes(of: UInt32(word))
      }
      return all + types + names
    }

    static var usual: Description {
      var all = Description()
      all.add("int", kind: 1, [32])  // 1
      all.add("", kind: 3, [1, 1, 4])  // 2: an array
      all.add("file", kind: 12)  // 3: a function of the name that a structure has
      all.structure("", kind: 5, [("inner", 1, 0), ("bit", 1, 3)])  // 4
      all.structure("file", [("first", 1, 0), ("", 4, 64), ("last", 1, 256)])  // 5
      all.structure("flagged", flag: 1, [("wide", 1, 8 << 24 | 128)])  // 6
      all.structure("circle", [("", 7, 0)])  // 7
      for kind: UInt32 in [2, 7, 8, 9, 10, 11, 16, 18] { all.add("x", kind: kind) }
      for (kind, words) in [(14, 1), (17, 1), (15, 3), (19, 3), (6, 2), (13, 2)] as [(UInt32, Int)] {
        all.add("y", kind: kind, count: 1, [UInt32](repeating: 0, count: words))
      }
      all.add("behind", kind: 12)
      return all
    }
  }

  @Test("members lie where it says, also in a structure without a name; a function and a structure may share one")
  func members() throws {
    let types = try #require(KernelTypes(Description.usual.bytes))
    #expect(types.offset(of: "first", in: "file") == 0 && types.offset(of: "last", in: "file") == 32)
    #expect(types.offset(of: "inner", in: "file") == 8)
    #expect(types.offset(of: "wide", in: "flagged") == 16)
    #expect(types.number(of: "file", .function) == 3 && types.number(of: "file", .structure) == 5)
    #expect(types.number(of: "behind", .function) == 22)
  }

  @Test("what is not there has no place: a bit between two bytes, a member without end, a name that only begins so")
  func absent() throws {
    let types = try #require(KernelTypes(Description.usual.bytes))
    #expect(types.offset(of: "bit", in: "file") == nil)
    #expect(types.offset(of: "first", in: "circle") == nil)
    #expect(types.offset(of: "firs", in: "file") == nil && types.offset(of: "first_", in: "file") == nil)
    #expect(types.offset(of: "first", in: "fil") == nil && types.number(of: "int", .function) == nil)
    #expect(OpenFiles.Layout(types) == nil)
  }

  @Test("cut anywhere, it is refused; with any byte changed, nothing is read beyond its end")
  func hostile() {
    let whole = Description.usual.bytes
    #expect(KernelTypes([]) == nil)
    for end in 0..<whole.count { #expect(KernelTypes(Array(whole[..<end])) == nil) }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 4..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      }
      guard let types = KernelTypes(bytes) else { continue }
      for member in ["first", "inner", "last", "wide"] as [StaticString] {
        for structure in ["file", "flagged", "circle"] as [StaticString] {
          if let offset = types.offset(of: member, in: structure) { #expect(offset >= 0) }
        }
      }
    }
  }
}

import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Unix paths: our own is removed, a dead one replaced, every other left alone", .onThreads)
struct UnixPaths {
  @Test("closing removes the path of a listener and of a datagram socket", .faults(56))
  func removed() throws {
    let folder = try TemporaryFolder()
    let listener = try Listener.bind(.unix("\(folder.path)/stream"))
    let datagrams = try DatagramSocket.bind(.unix("\(folder.path)/datagram"))
    #expect(folder.entries == ["datagram", "stream"])
    listener.close()
    datagrams.close()
    #expect(folder.entries == [])
  }

  @Test("a listener that was stopped, dropped, or never listened leaves no path", .faults(56))
  func removedOtherwise() throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress.unix("\(folder.path)/s")
    let stopped = try Listener.bind(address)
    stopped.stop()
    #expect(throws: SocketError.self) { _ = try stopped.accept() }
    #expect(folder.entries == [])
    stopped.close()
    let ledger = Ledger()
    ledger.leakPolicy = .quiet
    try Ledger.$current.withValue(ledger) { _ = try Listener.bind(address) }
    #expect(ledger.counts.leaked == 1)
    #expect(folder.entries == [])
    let socket = try Socket(.unix)
    try socket.bind(to: address)
    #expect(folder.entries == ["s"])
    #expect(TemporaryFolder.mode("\(folder.path)/s")?.permissions == 0o600)
    socket.close()
    #expect(throws: SocketError.self) { _ = try Listener.bind(address, backlog: -1) }
    #expect(folder.entries == [])
  }

  @Test("a path that another program has replaced is left alone", .faults(56))
  func replaced() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    let listener = try Listener.bind(.unix(path))
    #expect(unsafe unlink(path) == 0)
    let other = try PlainSocket.listening(onUnix: path)
    let inode = TemporaryFolder.inode(path)
    listener.close()
    #expect(TemporaryFolder.inode(path) == inode)
    let client = try PlainSocket.connected(toUnix: path)
    client.close()
    other.close()
    // Also when the path has become a regular file, or has been removed.
    let second = try Listener.bind(.unix(path))
    #expect(unsafe unlink(path) == 0)
    close(unsafe open(path, O_CREAT | O_WRONLY, 0o600))
    second.close()
    #expect(TemporaryFolder.mode(path)?.type == S_IFREG)
    unsafe _ = unlink(path)
    let third = try Listener.bind(.unix(path))
    unsafe _ = unlink(path)
    third.close()
    #expect(folder.entries == [])
  }

  @Test(
    "a path that a dead server left behind is replaced, whatever its kind", .faults(31, 56), arguments: [true, false])
  func stale(isStream: Bool) throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    try leaveBehind(path, isStream: !isStream)
    let old = TemporaryFolder.inode(path)
    if isStream {
      let listener = try Listener.bind(.unix(path))
      let client = try Connection.connect(to: .unix(path), within: .seconds(10))
      let served = try listener.accept(within: .seconds(10))
      served.abort()
      client.abort()
      listener.close()
    } else {
      let socket = try DatagramSocket.bind(.unix(path))
      try socket.send("x", to: .unix(path))
      #expect(try socket.receive(within: .seconds(10)).bytes == Array("x".utf8))
      socket.close()
    }
    #expect(old != nil)
    #expect(folder.entries == [], "no lock file either")
  }

  @Test(
    "a live listener's path is never taken; the error says whose it is, and the listener gets no client",
    .faults(52, 56))
  func living() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    let living = try Listener.bind(.unix(path))
    let inode = TemporaryFolder.inode(path)
    let number = try living.withDescriptor { $0.rawValue }
    for isStream in [true, false] {
      let error = #expect(throws: SocketError.self) {
        if isStream { _ = try Listener.bind(.unix(path)) } else { _ = try DatagramSocket.bind(.unix(path)) }
      }
      #expect(error?.cause == .system(.addressInUse))
      #expect(error?.note == "held by this program, descriptor \(number)")
    }
    #expect(TemporaryFolder.inode(path) == inode)
    let none = #expect(throws: SocketError.self) { _ = try living.accept(within: .zero) }
    #expect(none?.cause == .timedOut, "asking made no connection")
    living.close()
  }

  @Test("a socket that is bound but not listening, is paused, or has a full queue counts as live", .faults(56))
  func livingQuietly() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    func expectInUse(_ what: String) {
      let inode = TemporaryFolder.inode(path)
      let error = #expect(throws: SocketError.self, "\(what)") { _ = try Listener.bind(.unix(path)) }
      #expect(error?.cause == .system(.addressInUse))
      #expect(inode != nil && TemporaryFolder.inode(path) == inode, "\(what)")
    }
    let bound = try Socket(.unix)
    try bound.bind(to: .unix(path))
    expectInUse("bound")
    let listener = try bound.listen(backlog: 0)
    expectInUse("listening")
    let first = try PlainSocket.connected(toUnix: path)
    expectInUse("full")
    first.close()
    try listener.pause()
    expectInUse("paused")
    listener.close()
    let datagrams = try DatagramSocket.bind(.unix(path))
    expectInUse("datagrams")
    let elsewhere = try DatagramSocket.bind(.unix("\(folder.path)/e"))
    try datagrams.connect(to: .unix("\(folder.path)/e"))
    expectInUse("datagrams of another peer")
    datagrams.close()
    elsewhere.close()
  }

  @Test("a symbolic link, dangling or not, and a file that is no socket are neither followed nor removed", .faults(56))
  func linksAndFiles() throws {
    let folder = try TemporaryFolder()
    let (link, target, file) = ("\(folder.path)/link", "\(folder.path)/target", "\(folder.path)/file")
    #expect(unsafe symlink(target, link) == 0)
    func refusal(_ path: String) -> String? {
      let error = #expect(throws: SocketError.self) { _ = try Listener.bind(.unix(path)) }
      #expect(error?.cause == .system(.addressInUse))
      return error?.note
    }
    #expect(refusal(link)?.hasPrefix("the path is a symbolic link") == true)
    try leaveBehind(target)
    #expect(refusal(link)?.hasPrefix("the path is a symbolic link") == true)
    close(unsafe open(file, O_CREAT | O_WRONLY, 0o600))
    #expect(refusal(file)?.hasPrefix("the path is a file and not a socket") == true)
    #expect(refusal(folder.path)?.hasPrefix("the path is a file and not a socket") == true)
    #expect(folder.entries == ["file", "link", "target"])
    #expect(TemporaryFolder.mode(link)?.type == S_IFLNK)
  }

  @Test(
    "of many servers that start at once on a stale path, exactly one wins, and the others leave it alone", .faults(56))
  func race() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    for round in 0..<20 {
      try leaveBehind(path)
      let (start, end) = (Flag(), Flag())
      let starters = (0..<6).map { _ in
        onThread { () -> (Bool, Bool) in
          while !start.isSet {}
          do throws(SocketError) {
            let listener = try Listener.bind(try! .unix(path))
            // The process that owns the path can be reached until it closes.
            let isReached = (try? PlainSocket.connected(toUnix: path)) != nil
            let client = try listener.accept(within: .seconds(10))
            client.abort()
            // The listener stays open until the others have tried.
            try? eventually("the others have tried") { end.isSet }
            listener.close()
            return (true, isReached)
          } catch {
            precondition(error.cause == .system(.addressInUse), "\(error)")
            return (false, true)
          }
        }
      }
      start.set()
      try eventually("five have lost") { starters.count { $0.isFinished } == 5 }
      #expect(folder.entries == ["s"], "round \(round)")
      end.set()
      let outcomes = try starters.map { try $0.join() }
      #expect(outcomes.count { $0.0 } == 1)
      #expect(outcomes.allSatisfy { $0.1 })
      #expect(folder.entries == [])
    }
  }

  @Test(
    "a server that starts between the check of a stale path and its removal waits, and then finds it taken", .faults(56)
  )
  func between() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    try leaveBehind(path)
    let late = Mutex<Joining<SocketError.Cause?>?>(nil)
    let script = Script(
      .first(
        .unlink,
        .before {
          let thread = onThread { () -> SocketError.Cause? in
            do throws(SocketError) {
              let listener = try Listener.bind(try! .unix(path))
              listener.close()
              return nil
            } catch { return error.cause }
          }
          try? eventually("it waits for the lock, or is through") {
            thread.isFinished || thread.place.contains("futex")
          }
          late.withLock { $0 = thread }
        }))
    try Seam.$script.withValue(script) {
      let first = try Listener.bind(.unix(path))
      let thread = try #require(late.withLock { $0 })
      #expect(try thread.join() == .system(.addressInUse))
      let client = try PlainSocket.connected(toUnix: path)
      client.close()
      first.close()
    }
    #expect(folder.entries == [])
  }

  @Test("while another program holds the folder's lock, a stale path stays, and the error says why", .faults(56))
  func locked() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/s"
    try leaveBehind(path)
    let holder = unsafe open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    #expect(flock(holder, LOCK_EX) == 0)
    let inode = TemporaryFolder.inode(path)
    let error = #expect(throws: SocketError.self) { _ = try Listener.bind(.unix(path)) }
    #expect(error?.note?.contains("another program holds the lock of its folder") == true, "\(error!)")
    #expect(TemporaryFolder.inode(path) == inode)
    // A path that does not exist needs no lock.
    let free = try Listener.bind(.unix("\(folder.path)/free"))
    free.close()
    close(holder)
    let listener = try Listener.bind(.unix(path))
    listener.close()
    #expect(folder.entries == [])
  }

  @Test("a Unix path is created with exactly the permissions asked for, whatever the umask", .faults(56))
  func permissions() async {
    await #expect(processExitsWith: .success) {
      // A separate process, because the umask belongs to the process.
      for mask: mode_t in [0, 0o022, 0o077] {
        umask(mask)
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/s"
        let usual = try Listener.bind(.unix(path))
        precondition(TemporaryFolder.mode(path)?.permissions == 0o600)
        usual.close()
        for wanted: UInt32 in [0o666, 0o660, 0o622, 0o000] {
          let listener = try Listener.bind(.unix(path), options: .init(pathPermissions: wanted))
          precondition(TemporaryFolder.mode(path)?.permissions == mode_t(wanted), "\(wanted) under \(mask)")
          listener.close()
          let socket = try DatagramSocket.bind(.unix(path), pathPermissions: wanted)
          precondition(TemporaryFolder.mode(path)?.permissions == mode_t(wanted), "\(wanted) under \(mask)")
          socket.close()
        }
        precondition(folder.entries == [])
      }
    }
  }

  @Test("a path of 107 bytes is bound and removed, one of 108 is refused before any system call", .faults(56))
  func length() throws {
    let folder = try TemporaryFolder()
    let name = String(repeating: "n", count: 107 - folder.path.utf8.count - 1)
    let longest = "\(folder.path)/\(name)"
    #expect(longest.utf8.count == 107)
    let listener = try Listener.bind(.unix(longest))
    #expect(listener.localAddress == (try .unix(longest)))
    let client = try Connection.connect(to: .unix(longest), within: .seconds(10))
    client.abort()
    listener.close()
    #expect(folder.entries == [])
    #expect(throws: AddressError.self) { try SocketAddress.unix(longest + "n") }
    try leaveBehind(longest)
    let again = try Listener.bind(.unix(longest))
    again.close()
    #expect(folder.entries == [])
  }

  @Test("an abstract name needs no file, disappears with its socket, and may contain a NUL", .faults(56))
  func abstract() throws {
    let name = SocketAddress.unix(try UnixPath(abstract: "fin\0test \(getpid())\n"))
    let listener = try Listener.bind(name)
    #expect(listener.localAddress == name)
    let error = #expect(throws: SocketError.self) { _ = try Listener.bind(name) }
    #expect(error?.cause == .system(.addressInUse))
    listener.close()
    let again = try Listener.bind(name)
    again.close()
  }

  @Test(
    "a folder that is missing, or that this user may not write to, is named in the error", .faults(52, 56))
  func folders() async throws {
    let folder = try TemporaryFolder()
    let missing = #expect(throws: SocketError.self) { _ = try Listener.bind(.unix("\(folder.path)/none/s")) }
    #expect(missing?.cause == .system(.noSuchFileOrDirectory))
    #expect(missing?.description.contains("the folder does not exist") == true)
    await #expect(processExitsWith: .success) {
      let folder = try TemporaryFolder()
      let (path, stale, hidden) = ("\(folder.path)/s", "\(folder.path)/stale", "\(folder.path)/hidden")
      try leaveBehind(stale)
      try leaveBehind(hidden)
      unsafe _ = chmod(stale, 0o666)
      unsafe _ = chmod(hidden, 0o000)
      unsafe _ = chmod(folder.path, 0o555)
      let isRoot = geteuid() == 0
      if isRoot { precondition(seteuid(65534) == 0) }
      func refusal(_ path: String) -> SocketError? {
        do throws(SocketError) {
          let listener = try Listener.bind(try! .unix(path))
          listener.close()
          return nil
        } catch { return error }
      }
      let new = refusal(path)!
      precondition(new.cause == .system(.permissionDenied), "\(new)")
      precondition(new.description.contains("this user may not write"), "\(new)")
      let old = refusal(stale)!
      precondition(old.cause == .system(.addressInUse), "\(old)")
      precondition(old.note == "a dead server left the path behind, and this user may not remove it", "\(old)")
      let unknown = refusal(hidden)!
      precondition(unknown.note?.hasPrefix("the path is a socket of another user") == true, "\(unknown)")
      if isRoot { precondition(seteuid(0) == 0) }
      unsafe _ = chmod(folder.path, 0o755)
      precondition(folder.entries == ["hidden", "stale"])
    }
  }

  @Test("a relative path is removed even after the process has changed its working directory", .faults(56))
  func relative() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        let folder = try TemporaryFolder()
        precondition(unsafe chdir(folder.path) == 0)
        let listener = try Listener.bind("./s")
        precondition(folder.entries == ["s"])
        precondition(unsafe chdir("/") == 0)
        listener.close()
        precondition(folder.entries == [])
        precondition(unsafe chdir(folder.path) == 0)
        try leaveBehind("s")
        let again = try Listener.bind(.unix("s"))
        again.close()
        precondition(folder.entries == [])
      }
    }
  }
}

/// Leaves behind the file of a killed server: a socket file without a socket.
private func leaveBehind(_ path: String, isStream: Bool = true) throws {
  let kind = isStream ? SOCK_STREAM : SOCK_DGRAM
  let plain = PlainSocket(adopting: socket(AF_UNIX, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
  var name = sockaddr_un()
  name.sun_family = sa_family_t(AF_UNIX)
  unsafe withUnsafeMutableBytes(of: &name.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
  let code = unsafe withUnsafePointer(to: &name) {
    unsafe bind(
      plain.descriptor, UnsafeRawPointer($0).assumingMemoryBound(to: sockaddr.self),
      socklen_t(MemoryLayout<sockaddr_un>.size))
  }
  guard code == 0 else { throw RigError("bind \(path)", code: errno) }
  if isStream { listen(plain.descriptor, 1) }
  plain.close()
}

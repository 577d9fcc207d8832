import Filter
import Fin
import Glibc
import SystemPackage

/// A state in which operations wait: a verb, a socket family, and whether tasks or threads wait.
struct State: Sendable {
  let name: String
  let world: World
  /// Whether no event ends the wait, so that the operation polls from time to time.
  var asksAgain = false
  /// The maximum number of waits in this state.
  var most = Int.max
  let make: @Sendable (Stage) throws -> Void
}

/// The families of stream sockets, and the connections made of them, with both ends in this process.
enum Streams: String, CaseIterable, Sendable {
  case tcp, unix

  func open(_ stage: Stage) throws -> (SharedConnection, SharedConnection) {
    switch self {
    case .unix:
      let pair = try Connection.pair()
      return (pair.first.share(), pair.second.share())
    case .tcp:
      let listener = try Listener.bind(.loopback(port: 0))
      let first = try Connection.connect(to: listener.localAddress)
      let second = try listener.accept(within: .seconds(10))
      listener.close()
      return (first.share(), second.share())
    }
  }

  /// Opens a connection, and sends until the peer's buffer is full.
  func full(_ stage: Stage) throws -> (SharedConnection, SharedConnection) {
    let (ours, theirs) = try open(stage)
    // The buffers are small, so that many connections fit into the kernel's memory.
    try ours.set(.sendBuffer, to: 4096)
    try theirs.set(.receiveBuffer, to: 4096)
    let block = [UInt8](repeating: 7, count: 16 << 10)
    var quiet = 0
    // The peer's kernel still takes bytes in flight. The connection is full when no byte moves any more and some are
    // not acknowledged.
    while quiet < 3 {
      do {
        try ours.send(block, within: .milliseconds(self == .tcp ? 10 : 0))
        quiet = 0
      } catch {
        quiet = try error.bytesAccepted == 0 && ours.bytesUnacknowledged() > 0 ? quiet + 1 : 0
      }
    }
    return (ours, theirs)
  }

  func address(_ number: Int) throws -> SocketAddress {
    self == .tcp ? .loopback(port: 0) : try .unix("@fin-waiting-\(getpid())-\(number)")
  }
}

enum Datagrams: String, CaseIterable, Sendable {
  case udp, unix

  func open(_ number: Int) throws -> SharedDatagramSocket {
    let address: SocketAddress = self == .udp ? .loopback(port: 0) : try .unix("@fin-waiting-d-\(getpid())-\(number)")
    return try DatagramSocket.bind(address).share()
  }
}

enum States {
  static let all: [State] = World.allCases.flatMap { world in
    Streams.allCases.flatMap { streams(of: $0, in: world) }
      + Datagrams.allCases.flatMap { datagrams(of: $0, in: world) }
      + servers(in: world)
  }

  private static let hour = Timeout.seconds(3600)

  private static func state(
    _ verb: String, _ family: String, _ world: World, asksAgain: Bool = false, most: Int = .max,
    _ make: @escaping @Sendable (Stage) throws -> Void
  ) -> State {
    // There are fewer threads, because each has a stack.
    State(
      name: "\(verb)/\(family)/\(world)", world: world, asksAgain: asksAgain,
      most: min(most, world == .thread ? 64 : .max), make: make)
  }

  // MARK: Streams

  private static func streams(of family: Streams, in world: World) -> [State] {
    func connected(
      _ verb: String, isFull: Bool = false, asksAgain: Bool = false,
      _ prepare: @escaping @Sendable (SharedConnection, SharedConnection) throws -> Void = { _, _ in },
      task: @escaping @Sendable (SharedConnection) async throws -> Void,
      thread: @escaping @Sendable (SharedConnection) throws -> Void
    ) -> State {
      state(verb, "\(family)", world, asksAgain: asksAgain) { stage in
        for _ in 0..<stage.waiters {
          let (ours, theirs) = try isFull ? family.full(stage) : family.open(stage)
          try prepare(ours, theirs)
          stage.hold(theirs)
          stage.hold(ours)
          stage.wait {
            try await task(ours)
          } inThread: {
            try thread(ours)
          }
        }
      }
    }
    return [
      connected("receive") {
        _ = try await $0.receive(upTo: 100, within: hour)
      } thread: {
        _ = try $0.receive(upTo: 100, within: hour)
      },
      connected("receive-exactly", { _, theirs in try theirs.send([1, 2, 3]) }) {
        _ = try await $0.receive(exactly: 100, within: hour)
      } thread: {
        _ = try $0.receive(exactly: 100, within: hour)
      },
      connected("readLine", { _, theirs in try theirs.send("half a line") }) {
        _ = try await $0.receiveLine(within: hour)
      } thread: {
        _ = try $0.receiveLine(within: hour)
      },
      connected("peek") {
        _ = try await $0.peek(upTo: 1, within: hour)
      } thread: {
        _ = try $0.peek(upTo: 1, within: hour)
      },
      connected("receive-half-closed", { ours, _ in try ours.finishSending() }) {
        _ = try await $0.receive(upTo: 100, within: hour)
      } thread: {
        _ = try $0.receive(upTo: 100, within: hour)
      },
      connected("send", isFull: true) {
        try await $0.send([UInt8](repeating: 1, count: 1 << 20), within: hour)
      } thread: {
        try $0.send([UInt8](repeating: 1, count: 1 << 20), within: hour)
      },
      connected("close-confirmed", isFull: true) {
        await $0.close(.confirmed(within: .seconds(3600)))
      } thread: {
        $0.close(.confirmed(within: .seconds(3600)))
      },
      connected("close-lingering") {
        await $0.close(.lingering(within: .seconds(3600), idle: .seconds(3600), discarding: 1 << 20))
      } thread: {
        $0.close(.lingering(within: .seconds(3600), idle: .seconds(3600), discarding: 1 << 20))
      },
      state("close-second", "\(family)", world) { stage in
        for _ in 0..<max(1, stage.waiters / 2) {
          let (ours, theirs) = try family.full(stage)
          stage.hold(theirs)
          for _ in 0..<2 {
            stage.wait {
              await ours.close(.confirmed(within: .seconds(3600)))
            } inThread: {
              ours.close(.confirmed(within: .seconds(3600)))
            }
          }
        }
      },
      state("send-queued", "\(family)", world) { stage in
        let (ours, theirs) = try family.full(stage)
        stage.hold(theirs)
        for _ in 0..<stage.waiters {
          stage.wait {
            try await ours.send([1], within: hour)
          } inThread: {
            try ours.send([1], within: hour)
          }
        }
      },
      state("accept", "\(family)", world) { stage in
        for number in 0..<stage.waiters {
          let listener = Kept(try Listener.bind(try family.address(number)))
          stage.wait {
            _ = try await listener.value.accept(within: hour).abort()
          } inThread: {
            _ = try listener.value.accept(within: hour).abort()
          }
        }
      },
      state("connect", "\(family)", world, asksAgain: family == .unix) { stage in
        // The accept queue is full: a SYN of TCP gets no answer, and connect on Unix fails with EAGAIN.
        let listener = Kept(try Listener.bind(try family.address(0), backlog: 0))
        let address = listener.value.localAddress
        stage.hold(listener)
        for _ in 0..<3 {
          if let client = try? Connection.connect(to: address, within: .milliseconds(50)) { stage.hold(client.share()) }
        }
        for _ in 0..<stage.waiters {
          stage.wait {
            _ = try await Connection.connect(to: address, within: hour).abort()
          } inThread: {
            _ = try Connection.connect(to: address, within: hour).abort()
          }
        }
      },
    ]
  }

  // MARK: Datagrams

  private static func datagrams(of family: Datagrams, in world: World) -> [State] {
    func each(
      _ verb: String, asksAgain: Bool = false, _ begin: @escaping @Sendable (Stage, Int) throws -> Void
    ) -> State {
      state("datagram-\(verb)", "\(family)", world, asksAgain: asksAgain) { stage in
        for number in 0..<stage.waiters { try begin(stage, number) }
      }
    }
    @Sendable func receive(_ socket: SharedDatagramSocket, _ stage: Stage) {
      stage.hold(socket)
      stage.wait {
        _ = try await socket.receive(within: hour)
      } inThread: {
        _ = try socket.receive(within: hour)
      }
    }
    var states = [
      each("receive") { stage, number in receive(try family.open(number), stage) },
      state("datagram-receive-one", "\(family)", world) { stage in
        let socket = try family.open(0)
        for _ in 0..<stage.waiters { receive(socket, stage) }
      },
    ]
    switch family {
    case .udp:
      // An error is in the error queue, where the program may read it; a call has already returned the socket's error.
      states.append(
        each("receive-error-queue") { stage, _ in
          let gone = try DatagramSocket.bind(.loopback(port: 0))
          let address = gone.localAddress!
          gone.close()
          let socket = try DatagramSocket(.ipv4).share()
          try socket.set(.integer("IP_RECVERR", level: 0, name: 11), to: 1)
          try socket.connect(to: address)
          try socket.send("x")
          usleep(5000)
          do { _ = try socket.receive(within: .zero) } catch {}
          receive(socket, stage)
        })
    case .unix:
      for isConnected in [true, false] {
        states.append(
          each(isConnected ? "send-connected" : "send", asksAgain: !isConnected) { stage, number in
            let receiver = try family.open(number)
            let address = receiver.localAddress!
            stage.hold(receiver)
            let sender = try DatagramSocket(.unix).share()
            stage.hold(sender)
            if isConnected { try sender.connect(to: address) }
            let target = isConnected ? nil : address
            do { while true { try sender.send([1], to: target, within: .zero) } } catch {}
            stage.wait {
              try await sender.send([2], to: target, within: hour)
            } inThread: {
              try sender.send([2], to: target, within: hour)
            }
          })
      }
    }
    return states
  }

  // MARK: Servers

  private static func servers(in world: World) -> [State] {
    func serving(
      _ name: String, asksAgain: Bool = false, most: Int = .max, connections: Int = 65_536,
      limits: ServerLimits = .default, threads: Int = 1,
      _ prepare: @escaping @Sendable (Stage, ListenerHandle) throws -> Void
    ) -> State {
      state("serve-\(name)", "tcp", world, asksAgain: asksAgain, most: most) { stage in
        for _ in 0..<stage.waiters {
          let listener = Kept(try Listener.bind(.loopback(port: 0)))
          stage.hold(listener)
          let handle = listener.value.handle
          stage.wait {
            await listener.value.serve(connections: connections, limits: limits) { connection in
              while try await connection.receive(upTo: 1, within: hour) != nil {}
            }
          } inThread: {
            listener.value.serve(threads: threads, limits: limits) { connection in
              while try connection.receive(upTo: 1, within: hour) != nil {}
            }
          }
          try prepare(stage, handle)
        }
      }
    }
    /// Connects a client that stays connected, and waits until its handler has begun.
    @Sendable func client(_ stage: Stage, _ handle: ListenerHandle) throws {
      stage.hold(try Connection.connect(to: handle.localAddress!, within: .seconds(10)).share())
      usleep(20_000)
    }
    return [
      serving("idle") { _, _ in },
      serving("busy", most: 100) { stage, handle in try client(stage, handle) },
      serving("at-its-limit", most: 50, connections: 1) { stage, handle in
        for _ in 0..<3 { try client(stage, handle) }
      },
      serving("paused", most: 50) { _, handle in
        usleep(20_000)
        try handle.pause(resettingQueue: true)
      },
      serving("draining", most: 50) { stage, handle in
        // A client that has spoken: a drain ends the others.
        let client = try Connection.connect(to: handle.localAddress!, within: .seconds(10)).share()
        stage.hold(client)
        try client.send([1])
        usleep(20_000)
        handle.stop(within: hour)
      },
      // The process has no descriptor left, and a client waits: the server tries again from time to time.
      serving("without-descriptors", asksAgain: true, most: 1, limits: ServerLimits(descriptorsInReserve: 1)) {
        stage, handle in
        usleep(20_000)
        let client = try Connection.connect(to: handle.localAddress!, within: .seconds(10)).share()
        stage.hold(client)
        usleep(50_000)
        var limit = rlimit(rlim_cur: 64, rlim_max: 64)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        while dup(0) >= 0 {}
        let raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        precondition(raw < 0, "there still are descriptors")
      },
      // A seccomp filter refuses every accept, and a client waits.
      serving("refused-by-a-filter", asksAgain: true, most: 1) { stage, handle in
        usleep(20_000)
        precondition(filter_deny_accept(EPERM) == 0, "no filter can be set")
        try client(stage, handle)
      },
    ]
  }
}

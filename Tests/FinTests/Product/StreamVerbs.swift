import Glibc
import Peers
import SystemPackage

@_spi(Fin) @testable import Fin

/// A verb of a stream, tried once, with the word for its result.
struct StreamVerb {
  let name: String

  /// Verbs that need a line from the peer, where it can send one.
  var isReceiving: Bool { name.hasPrefix("receive") || name == "peek" }

  func outcome(_ family: ProductFamily, _ phase: Phase, _ world: ServingWorld) throws -> String {
    let stage = try StreamStage(
      family, phase, isSpeaking: isReceiving && (phase == .connected || phase == .sendFinished))
    let name = name
    let word: String
    switch world {
    case .threads: word = try onThread { try inThread(name, stage) }.join(within: .seconds(30))
    case .tasks:
      word = try Working(on: Reactor.shared.executor) { try await inTask(name, stage) }.join(within: .seconds(30))
    }
    try stage.strike()
    return word
  }
}

/// The timeout for a verb that may have to wait in vain.
private func timeout(_ stage: StreamStage) -> Timeout {
  stage.ours.phase == .connecting ? .milliseconds(50) : .seconds(20)
}

private func inThread(_ name: String, _ stage: StreamStage) throws -> String {
  let ours = stage.ours
  let within = timeout(stage)
  do throws(SocketError) {
    switch name {
    case "connect": try ours.connect(to: stage.target, within: within)
    case "send": try ours.send("x", within: within)
    case "receive": if try ours.receive(upTo: 9, within: within) == nil { return "end" }
    case "receive(exactly:)": if try ours.receive(exactly: 5, within: within) == nil { return "end" }
    case "receive(until:)": if try ours.receive(until: 10, within: within) == nil { return "end" }
    case "receive(into:)":
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 9, alignment: 1)
      defer { unsafe room.deallocate() }
      var output = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
      if try ours.receive(into: &output, within: within) == 0 { return "end" }
    case "sendFile": if try ours.sendFile(stage.file.descriptor, within: within) != 1 { return "lost" }
    case "receive(to:)": if try ours.receive(to: stage.file.descriptor, count: 5, within: within) == 0 { return "end" }
    case "receiveLine": if try ours.receiveLine(within: within) == nil { return "end" }
    case "send(gathering:)": try ours.send(gathering: [[], [120]], within: within)
    case "send(passing:)": try ours.send([120], passing: [.standardError], within: within)
    case "receive(descriptors:)": if try ours.receive(upTo: 9, descriptors: 1, within: within) == nil { return "end" }
    case "sendSome": if try ours.sendSome(unsafe letter.span.bytes, within: within) != 1 { return "lost" }
    case "peek": if try ours.peek(upTo: 9, within: within) == nil { return "end" }
    case "finishSending": try ours.finishSending()
    case "close(.confirmed)": return "\(ours.close(.confirmed(within: .seconds(20))).ending)"
    case "close(.lingering)": return "\(ours.close(lingering).ending)"
    case "close(.background)": return "\(ours.close(.background).ending)"
    case "abort": return "\(ours.abort().ending)"
    default: return try withoutWaiting(name, ours)
    }
  } catch { return error.cause.word }
  return try arrived(name, stage)
}

private func inTask(_ name: String, _ stage: StreamStage) async throws -> String {
  let ours = stage.ours
  let within = timeout(stage)
  do throws(SocketError) {
    switch name {
    case "connect": try await ours.connect(to: stage.target, within: within)
    case "send": try await ours.send("x", within: within)
    case "receive": if try await ours.receive(upTo: 9, within: within) == nil { return "end" }
    case "receive(exactly:)": if try await ours.receive(exactly: 5, within: within) == nil { return "end" }
    case "receive(until:)": if try await ours.receive(until: 10, within: within) == nil { return "end" }
    case "receive(into:)":
      let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 9, alignment: 1)
      defer { unsafe room.deallocate() }
      var output = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
      if try await ours.receive(into: &output, within: within) == 0 { return "end" }
    case "sendFile": if try await ours.sendFile(stage.file.descriptor, within: within) != 1 { return "lost" }
    case "receive(to:)":
      if try await ours.receive(to: stage.file.descriptor, count: 5, within: within) == 0 { return "end" }
    case "receiveLine": if try await ours.receiveLine(within: within) == nil { return "end" }
    case "send(gathering:)": try await ours.send(gathering: [[], [120]], within: within)
    case "send(passing:)": try await ours.send([120], passing: [.standardError], within: within)
    case "receive(descriptors:)":
      if try await ours.receive(upTo: 9, descriptors: 1, within: within) == nil { return "end" }
    case "sendSome": if try await ours.sendSome(unsafe letter.span.bytes, within: within) != 1 { return "lost" }
    case "peek": if try await ours.peek(upTo: 9, within: within) == nil { return "end" }
    case "finishSending": try await ours.finishSending()
    case "close(.confirmed)": return "\(await ours.close(.confirmed(within: .seconds(20))).ending)"
    case "close(.lingering)": return "\(await ours.close(lingering).ending)"
    case "close(.background)": return "\(await ours.close(.background).ending)"
    case "abort": return "\(await ours.abort().ending)"
    default: return try withoutWaiting(name, ours)
    }
  } catch { return error.cause.word }
  return try synchronously { try arrived(name, stage) }
}

private let letter: [UInt8] = [120]

private let lingering = ClosePolicy.lingering(within: .seconds(20), idle: .milliseconds(10), discarding: 1 << 20)

/// The verbs that never wait, and so behave alike in threads and tasks.
private func withoutWaiting(_ name: String, _ ours: SharedConnection) throws(SocketError) -> String {
  switch name {
  case "share":
    let shared = Connection(core: ours.reference.core, timeouts: .default).share()
    return shared.phase == ours.phase ? "works" : "changed"
  case "duplicate": try Connection(core: ours.reference.core, timeouts: .default).duplicate().close(.background)
  case "detach":
    let given = try Connection(core: ours.reference.core, timeouts: .default).detach()
    Glibc.close(given.descriptor.rawValue)
  case "option": _ = try ours.option(.receiveBuffer)
  case "set(.receiveBuffer)": try ours.set(.receiveBuffer, to: 100_000)
  case "set(.noDelay)": try ours.set(.noDelay, to: true)
  case "localAddress": return ours.localAddress == nil ? "nil" : "works"
  case "remoteAddress": return ours.remoteAddress == nil ? "nil" : "works"
  case "bytesUnacknowledged": _ = try ours.bytesUnacknowledged()
  case "tcpState": return try ours.tcpState() == nil ? "nil" : "works"
  case "failure": return try ours.failure()?.word ?? "nil"
  case "cookie": _ = try ours.cookie()
  case "withDescriptor": try ours.withDescriptor { _ in }
  default: return "no such verb"
  }
  return "works"
}

/// Checks that a verb that worked also had its effect at the other end.
private func arrived(_ name: String, _ stage: StreamStage) throws -> String {
  switch name {
  case "send", "send(gathering:)", "send(passing:)", "sendSome", "sendFile":
    return try stage.peerReceives() ?? [120] == [120] ? "works" : "lost"
  case "receive(to:)": return stage.file.content == Array("line\n".utf8) ? "works" : "lost"
  case "finishSending": return try stage.peerReceives() ?? [] == [] ? "works" : "lost"
  default: return "works"
  }
}

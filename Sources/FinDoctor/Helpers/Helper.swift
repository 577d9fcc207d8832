internal import CFin
internal import FinBase
internal import Glibc

/// A helper, seen from the census: the other end of its channel.
///
/// It makes one reading after the other. One that does not answer is left behind with its reading: the kernel ends it
/// once it lets go of it.
final class Helper: Sendable {
  private let channel: Descriptor
  /// The folder in `/proc` of the helper's process or thread.
  private let place: String
  /// The thread, for a helper that is one.
  private let thread: JoinableThread<Void>?

  /// Waits for the helper's first packet.
  init(_ channel: consuming Descriptor, thread: JoinableThread<Void>?) throws(KernelError) {
    self.channel = channel
    self.thread = thread
    var head: UInt64 = 0
    var descriptor: CInt = -1
    let number = self.channel.number
    do throws(KernelError) { try Self.awaitPacket(number, from: nil, Budget.answer) } catch { throw KernelError.gone }
    let count = try calling {
      unsafe withUnsafeMutableBytes(of: &head) {
        unsafe Int(fin_receive_packet(number, $0.baseAddress!, UInt64($0.count), &descriptor, 0))
      }
    }
    guard count == 8 else { throw KernelError.gone }
    place = thread == nil ? "/proc/\(head >> 32)" : "/proc/self/task/\(head >> 32)"
  }

  /// Ends a helper that is idle. A helper that is a thread has ended when this returns.
  func end() {
    shutdown(channel.number, CInt(SHUT_RDWR))
    thread?.join()
  }

  /// Leaves the helper behind, with the reading that does not answer.
  func abandon() { thread?.leave() }

  /// Asks for a reading; false when the channel has no room for it now.
  func ask(_ request: HelperRequest, with descriptor: CInt = -1) throws(KernelError) -> Bool {
    let bytes = request.bytes
    do throws(KernelError) {
      _ = try calling {
        unsafe bytes.withUnsafeBytes { bytes in
          unsafe Int(
            fin_send_packet(
              channel.number, bytes.baseAddress!, UInt64(bytes.count), nil, 0, descriptor, CInt(FIN_MSG_DONTWAIT)))
        }
      }
      return true
    } catch KernelError.again {
      return false
    }
  }

  /// One packet of an answer.
  enum Packet: Hashable {
    /// This number of bytes, after the head.
    case more(Int)
    /// The same, and the kernel had more.
    case cut(Int)
    case end(code: Int32, descriptor: Int32)
  }

  /// Receives the next packet of the answer into `room`, behind a head of ``HelperWork/Mark/headLength`` bytes.
  /// - Parameters:
  ///   - room: The buffer.
  ///   - silence: The time without any progress after which the helper is stuck.
  /// - Throws: ``KernelError/silent`` when the helper is stuck, ``KernelError/gone`` when it has died.
  func next(
    into room: UnsafeMutableRawBufferPointer, silence: Duration = Budget.silence
  ) throws(KernelError) -> Packet {
    let headLength = HelperWork.Mark.headLength
    var descriptor: CInt = -1
    let number = channel.number
    func receive() throws(KernelError) -> Int {
      try calling {
        unsafe Int(
          fin_receive_packet(number, room.baseAddress!, UInt64(room.count), &descriptor, CInt(FIN_MSG_DONTWAIT)))
      }
    }
    let count: Int
    do throws(KernelError) { count = try receive() } catch KernelError.again {
      try Self.awaitPacket(number, from: place, silence)
      count = try receive()
    }
    guard count >= headLength else { throw KernelError.gone }
    let head = unsafe room.load(as: UInt64.self)
    switch UInt32(truncatingIfNeeded: head) {
    case HelperWork.Mark.more: return .more(count - headLength)
    case HelperWork.Mark.cut: return .cut(count - headLength)
    default: return .end(code: Int32(truncatingIfNeeded: head >> 32), descriptor: descriptor)
    }
  }

  /// Waits until a packet is there, or the helper is stuck: it does not run, is not about to, and has not run for as
  /// long as `silence`. On a busy machine, a helper that waits for a processor is not stuck.
  private static func awaitPacket(_ channel: CInt, from place: String?, _ silence: Duration) throws(KernelError) {
    let began = UInt64(SystemClock.monotonic)
    var seen = Activity()
    var since = began
    while true {
      var wanted = pollfd(fd: channel, events: Int16(POLLIN), revents: 0)
      if unsafe poll(&wanted, 1, 50) > 0 { return }
      let now = UInt64(SystemClock.monotonic)
      let activity = place.map { Activity(of: $0) } ?? Activity(isRunnable: true)
      if activity.isRunnable || activity != seen { since = now }
      seen = activity
      if now - since >= silence.inNanoseconds || now - began >= Budget.answer.inNanoseconds { throw KernelError.silent }
    }
  }

  /// The activity of a process or thread, from its `status` in `/proc`.
  private struct Activity: Hashable {
    var isRunnable = false
    /// The number of times that it gave up its processor, or was made to.
    var switches: [UInt64] = []

    init(isRunnable: Bool = false) { self.isRunnable = isRunnable }

    init(of place: String) {
      guard let text = try? Files.read(place + "/status", limit: 16384) else { return }
      for line in text.split(separator: 10) {
        let words = Array(Fields(line))
        guard words.count > 1 else { continue }
        if words[0].begins(with: "State:") { isRunnable = words[1].elementsEqual("R".utf8) }
        if words[0].begins(with: "voluntary_ctxt") || words[0].begins(with: "nonvoluntary_ctxt") {
          switches.append(UInt64(decimal: words[1]) ?? 0)
        }
      }
    }
  }
}

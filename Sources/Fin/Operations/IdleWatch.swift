internal import CFin
internal import SystemPackage

/// The poller over the idle connections of a pool: an end, an error or a byte on any of them makes it readable.
///
/// An event loop watches the poller's own descriptor, so that an idle connection needs neither a task nor a
/// registration of its own.
@safe
final class IdleWatch: Sendable {
  let poller: CInt
  private static let eventsAtOnce = 64

  init() throws(Errno) { poller = try Syscalls.makePoller() }

  deinit { Syscalls.close(poller) }

  /// Watches a connection. Whatever is there already is reported at once.
  ///
  /// - Throws: `.closed`; `.system` when the kernel has no room.
  func add(_ core: Core, as number: Int) throws(SocketError) {
    try core.withAccess(.checkOut) { access throws(SocketError) in
      do throws(Errno) {
        try Syscalls.watchInput(core.number(access), with: poller, token: UInt64(number))
      } catch { throw core.error(.checkOut, .system(error)) }
    }
  }

  /// Stops watching a connection, before it is lent or closed. A descriptor that is released is no longer watched.
  func remove(_ core: Core) {
    _ = try? core.withAccess(.checkOut) { Syscalls.unwatch(core.number($0), with: poller) }
  }

  /// The numbers of the connections to which something came since the last call.
  func collect() -> [Int] {
    var numbers: [Int] = []
    let size = IdleWatch.eventsAtOnce * MemoryLayout<fin_epoll_event>.stride
    unsafe withUnsafeTemporaryAllocation(byteCount: size, alignment: 16) { events in
      var count = 0
      repeat {
        count = unsafe Syscalls.awaitEvents(
          poller, events.baseAddress!, most: IdleWatch.eventsAtOnce, until: .passed)
        for index in 0..<count { numbers.append(Int(unsafe fin_epoll_token(events.baseAddress!, CInt(index)))) }
      } while count == IdleWatch.eventsAtOnce
    }
    return numbers
  }
}

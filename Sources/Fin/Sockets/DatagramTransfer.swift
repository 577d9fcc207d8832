internal import CFin
internal import Glibc
internal import SystemPackage

/// How datagrams go out and come in. Everything here passes the gate beside others: the kernel keeps each datagram whole.
extension Core {
  func sendDatagram(
    _ bytes: UnsafeRawBufferPointer, to peer: SocketAddress?, _ patience: inout Patience
  ) throws(SocketError) {
    try passing(.send) { () throws(SocketError) in
      var pause = Duration.milliseconds(1)
      while true {
        let code: Errno
        do throws(Errno) {
          if let peer {
            _ = try unsafe Syscalls.send(number, bytes, to: peer)
          } else {
            _ = try unsafe Syscalls.send(number, bytes)
          }
          // The kernel has chosen a port if there was none.
          if phase == .fresh, family != .unix { advance(.bind) }
          return
        } catch { code = error }
        guard code == .resourceTemporarilyUnavailable else {
          throw failure(.send, .system(code), peer, note: code == .messageTooLong ? tooLong(bytes.count, peer) : nil)
        }
        do throws(SocketError.Cause) {
          if family == .unix, peer != nil {
            // The receiver's queue is full. Poll tells of our own buffer only, so this asks again, ever more rarely.
            let left = patience.deadline.remaining ?? pause
            if left == .zero { throw .timedOut }
            var rest = Patience(min(pause, left))
            do throws(SocketError.Cause) { try wait(for: 0, &rest) } catch { if error != .timedOut { throw error } }
            pause = min(pause * 2, .milliseconds(50))
          } else {
            try wait(for: CInt(POLLOUT), &patience)
          }
        } catch { throw failure(.send, error, peer) }
      }
    }
  }

  func receiveDatagram(
    into room: UnsafeMutableRawBufferPointer, _ patience: inout Patience
  ) throws(SocketError) -> Datagram.Envelope {
    try passing(.receive) { () throws(SocketError) in
      while true {
        do throws(Errno) {
          let (length, from) = try unsafe Syscalls.receiveDatagram(number, room)
          if length == 0, from == nil, family != .unix {
            // Every IP datagram has a sender.
            throw Errno.socketShutdown
          }
          return Datagram.Envelope(from: from, length: length, received: min(length, room.count))
        } catch {
          guard error == .resourceTemporarilyUnavailable else { throw self.error(.receive, .system(error)) }
        }
        do throws(SocketError.Cause) { try wait(for: CInt(POLLIN), &patience) } catch {
          throw self.error(.receive, error)
        }
      }
    }
  }

  func connectDatagrams(to peer: SocketAddress) throws(SocketError) {
    try passing(.connect) { () throws(SocketError) in
      do throws(Errno) { try Syscalls.connect(number, peer) } catch { throw failure(.connect, .system(error), peer) }
      self.peer = peer
      forgetLocal()
      if phase == .fresh, family != .unix { advance(.bind) }
    }
  }

  private func failure(
    _ operation: SocketError.Operation, _ cause: SocketError.Cause, _ peer: SocketAddress?, note: String? = nil
  ) -> SocketError {
    SocketError(operation, cause, local: local, peer: peer ?? self.peer, note: note)
  }

  private func tooLong(_ count: Int, _ peer: SocketAddress?) -> String {
    switch (peer ?? self.peer)?.canonical {
    case .ip(.v4, _): "\(count) bytes; UDP over IPv4 carries 65,507 at most, and less where nothing may be fragmented"
    case .ip(.v6, _): "\(count) bytes; UDP over IPv6 carries 65,527 at most, and less where nothing may be fragmented"
    case .unix, nil: "\(count) bytes; a Unix datagram has to fit into the send buffer, see the option sendBuffer"
    }
  }
}

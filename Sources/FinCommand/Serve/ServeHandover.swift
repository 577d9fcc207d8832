import ArgumentParser
import Fin
import FinBase
import FinTerminal

/// The handover of a server at a path: it takes the listener of its predecessor, and gives it to its successor.
struct ServeHandover: Sendable {
  /// The command that serves, which is the name of its listener.
  private let verb: String
  private let path: SocketAddress

  init(parsing text: String, of verb: String) throws {
    let shown = printable(text.utf8, limit: 128)
    let endpoint: Endpoint
    do throws(AddressError) { endpoint = try Endpoint(parsing: text) } catch { throw ValidationError("\(error).") }
    guard case .unix(let path)? = endpoint.address else {
      throw ValidationError("\(shown): --handover needs a path such as /run/example/handover, or @name.")
    }
    self.path = .unix(path)
    self.verb = verb
  }

  /// Takes the listener of the server that offers it at the path.
  /// - Parameters:
  ///   - endpoint: The address where this server is to listen. A listener elsewhere is left to its server.
  ///   - timeouts: The timeouts of the listener and its connections.
  /// - Returns: Nil when no server offers one.
  func take(_ endpoint: Endpoint, _ timeouts: Timeouts) throws -> Listener? {
    let wanted: [SocketAddress]
    do { wanted = try endpoint.resolve(.listen) } catch { throw ExitStatus.noHost.because("\(error)") }
    let taken: Takeover?
    do throws(SocketError) { taken = try Handover.take(from: path) } catch { throw refusal("\(error)") }
    guard var takeover = taken else { return nil }
    let offered: Listener?
    do throws(SocketError) {
      offered = try takeover.takeListener(named: verb, timeouts: timeouts)
    } catch {
      takeover.abandon()
      throw refusal("\(error)")
    }
    guard let listener = offered else {
      takeover.abandon()
      throw refusal("it offers no listener of fin \(verb)")
    }
    let places = listener.localAddresses
    guard places.allSatisfy({ own in wanted.contains { Self.isSame(own, as: $0) } }) else {
      takeover.abandon()
      listener.close()
      let shown = places.map { "\($0)" }.joined(separator: ", ")
      throw refusal("it listens at \(shown), and not at \(endpoint)")
    }
    do throws(SocketError) { try takeover.finish() } catch {
      listener.close()
      throw refusal("\(error)")
    }
    return listener
  }

  /// The end of this command when it cannot take over. The predecessor goes on.
  private func refusal(_ reason: String) -> any Error {
    ExitStatus.unavailable.because("the server at \(path) was not taken over: \(reason)")
  }

  /// Whether a listener's address is the one that was asked for. A port of 0 is any port, and an address without a host
  /// every address of each family.
  private static func isSame(_ own: SocketAddress, as wanted: SocketAddress) -> Bool {
    guard case .ip(let ip, let port) = own, case .ip(let wantedIP, let wantedPort) = wanted else {
      return own == wanted
    }
    let unspecified = [IPAddress.v4(.any), IPAddress.v6(.any)]
    let isSameHost = ip == wantedIP || unspecified.contains(ip) && unspecified.contains(wantedIP)
    return isSameHost && (wantedPort == 0 || port == wantedPort)
  }

  /// Offers the listener to a successor until it is withdrawn.
  /// - Parameter handedOver: Takes the report when a successor has taken it.
  func offer(
    _ listener: ListenerHandle, _ server: ServeStop, handedOver: @escaping @Sendable (HandoverReport) -> Void
  ) throws(SocketError) -> Offer {
    Offer(try Handover(offering: [verb: listener], at: path), server, handedOver)
  }

  /// An offer, and the thread that waits for a successor.
  struct Offer {
    private let handover: Handover
    private let waiting: JoinableThread<Void>

    fileprivate init(
      _ handover: Handover, _ server: ServeStop, _ handedOver: @escaping @Sendable (HandoverReport) -> Void
    ) {
      self.handover = handover
      waiting = JoinableThread {
        do throws(SocketError) {
          let report = try handover.awaitSuccessor(draining: Timeout(server.grace))
          server.noteHandover()
          handedOver(report)
        } catch {
          if error.cause != .closed { Output.complain("no successor can take over any more: \(error)") }
        }
      }
    }

    /// Withdraws the offer. A handover that is under way comes to its end first.
    func withdraw() {
      handover.withdraw()
      _ = waiting.join()
    }
  }
}

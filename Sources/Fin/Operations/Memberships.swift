internal import SystemPackage

/// Joining and leaving multicast groups. Neither waits.
extension Core {
  func join(_ group: IPAddress, from source: IPAddress?, on interface: NetworkInterface?) throws(SocketError) {
    let membership = try membership(.join, group, source, interface)
    try withAccess(.join) { access throws(SocketError) in
      do throws(Errno) { try membership.join(number(access)) } catch {
        throw refusal(.join, error, membership, interface)
      }
    }
  }

  func leave(_ group: IPAddress, from source: IPAddress?, on interface: NetworkInterface?) throws(SocketError) {
    let membership = try membership(.leave, group, source, interface)
    try withAccess(.leave) { access throws(SocketError) in
      do throws(Errno) { try membership.leave(number(access)) } catch {
        throw refusal(.leave, error, membership, interface)
      }
    }
  }

  /// Checks what the kernel would refuse without a reason.
  private func membership(
    _ operation: SocketError.Operation, _ group: IPAddress, _ source: IPAddress?, _ interface: NetworkInterface?
  ) throws(SocketError) -> Membership {
    func invalid(_ reason: String) -> SocketError { error(operation, .invalid(reason)) }
    if phase == .closed { throw error(operation, .closed) }
    guard family != .unix else { throw invalid("only UDP sockets join groups") }
    let group = group.canonical
    let source = source?.canonical
    guard group.isMulticast else {
      throw invalid("\(group) is not a multicast group: those are in 224.0.0.0/4 and ff00::/8")
    }
    guard family == .ipv6 || group.family == .ipv4 else { throw invalid("an IPv4 socket cannot join \(group)") }
    if let source {
      guard source.family == group.family else { throw invalid("\(source) cannot send to \(group)") }
      guard !source.isMulticast, !source.isAny else { throw invalid("\(source) is no address of a sender") }
    }
    var index = interface?.index ?? 0
    if index == 0, case .v6(let address) = group { index = address.scope }
    return Membership(group: group, source: source, interface: index)
  }

  private func refusal(
    _ operation: SocketError.Operation, _ code: Errno, _ membership: Membership, _ interface: NetworkInterface?
  ) -> SocketError {
    var place = "\(membership.group)"
    if let source = membership.source { place += " from \(source)" }
    if let interface { place += " on \(interface.name)" }
    let version = membership.group.family == .ipv4 ? "ipv4.igmp" : "ipv6.mld"
    let reason: String? =
      switch (operation, code) {
      case (.join, .addressInUse): "this socket is a member already"
      case (.join, .addressNotAvailable) where membership.source != nil: "this socket hears this sender already"
      case (.join, .noBufferSpace):
        "it has as many groups or senders as the kernel allows: sysctl net.\(version)_max_msf"
          + (membership.group.family == .ipv4 ? ", net.ipv4.igmp_max_memberships" : "")
      case (.leave, .addressNotAvailable), (.leave, .invalidArgument): "this socket is no member"
      case (_, .operationNotSupportedByDevice):
        interface == nil
          ? "no route says which interface to use: name one with on:" : "there is no such interface any more"
      default: nil
      }
    return error(operation, .system(code), note: reason.map { "\(place): \($0)" } ?? place)
  }
}

/// A socket of a census, by its index there.
package enum SocketReference: Hashable, Sendable {
  /// An index in ``Census/sockets``.
  case inet(Int)
  /// An index in ``Census/unixSockets``.
  case unix(Int)
  /// An index in ``Census/detached``: a descriptor whose socket no kernel table lists.
  case detached(Int)
}

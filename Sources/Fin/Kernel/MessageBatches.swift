internal import CFin
internal import Glibc
internal import SystemPackage

/// The memory for a batch of datagrams in one system call: headers, vectors and addresses.
///
/// `struct mmsghdr` is a `struct msghdr`, and behind it the length of the message.
@unsafe private struct BatchMemory {
  static let headerSize = 64
  static let lengthOffset = 56
  static let addressSize = MemoryLayout<sockaddr_storage>.size
  static let perMessage = unsafe headerSize + MemoryLayout<iovec>.stride + addressSize

  private let memory: UnsafeMutableRawBufferPointer
  let count: Int

  init(_ memory: UnsafeMutableRawBufferPointer, count: Int) {
    unsafe self.memory = unsafe memory
    unsafe self.count = count
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
  }

  var headers: UnsafeMutableRawPointer { unsafe memory.baseAddress! }

  func address(_ index: Int) -> UnsafeMutableRawBufferPointer {
    let start = unsafe count * (Self.headerSize + MemoryLayout<iovec>.stride) + index * Self.addressSize
    return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[start..<(start + Self.addressSize)])
  }

  /// Fills the header of a message.
  func set(_ index: Int, _ buffer: UnsafeMutableRawPointer?, _ length: Int, nameLength: Int) {
    let place = unsafe count * Self.headerSize + index * MemoryLayout<iovec>.stride
    let vector = unsafe (headers + place).bindMemory(to: iovec.self, capacity: 1)
    unsafe vector.pointee = iovec(iov_base: buffer, iov_len: length)
    var header = unsafe msghdr()
    if nameLength > 0 {
      unsafe header.msg_name = address(index).baseAddress
      unsafe header.msg_namelen = socklen_t(nameLength)
    }
    unsafe header.msg_iov = vector
    unsafe header.msg_iovlen = 1
    unsafe headers.storeBytes(of: header, toByteOffset: index * Self.headerSize, as: msghdr.self)
  }

  /// The length of a received message, and the address of its sender.
  func received(_ index: Int) -> (length: Int, sender: SocketAddress?) {
    let start = unsafe index * Self.headerSize
    let length = unsafe headers.load(fromByteOffset: start + Self.lengthOffset, as: UInt32.self)
    let nameLength = unsafe headers.load(fromByteOffset: start, as: msghdr.self).msg_namelen
    let name = unsafe UnsafeRawBufferPointer(address(index))
    guard Int(nameLength) <= name.count else { return (Int(length), nil) }
    return (
      Int(length), unsafe SocketAddress(raw: UnsafeRawBufferPointer(rebasing: name[..<Int(nameLength)]))
    )
  }
}

extension Syscalls {
  /// `recvmmsg(2)` with `MSG_TRUNC`: up to `most` datagrams, each into its part of `room`.
  ///
  /// The kernel keeps an error that it meets behind a datagram for the next call.
  /// - Returns: the true length and the sender of each; at least one.
  static func receiveDatagrams(
    _ descriptor: CInt, _ most: Int, of size: Int, into room: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> [(length: Int, sender: SocketAddress?)] {
    try unsafe withUnsafeTemporaryAllocation(byteCount: most * BatchMemory.perMessage, alignment: 16) {
      memory throws(Errno) in
      let batch = unsafe BatchMemory(memory, count: most)
      for index in 0..<most {
        unsafe batch.set(
          index, room.baseAddress.map { unsafe $0 + index * size }, size, nameLength: BatchMemory.addressSize)
      }
      let count = try call(.recvmmsg, bytes: most) { most in
        unsafe Int(
          fin_receive_messages(
            descriptor, batch.headers, UInt32(most), CInt(FIN_MSG_TRUNC | FIN_MSG_DONTWAIT)))
      }
      return (0..<count).map { unsafe batch.received($0) }
    }
  }

  /// `sendmmsg(2)` with `MSG_NOSIGNAL`: datagrams, each to its address.
  ///
  /// The kernel returns an error for the first of them only. Behind one that it accepted it stops, and the next call
  /// meets the error again.
  /// - Returns: the number of datagrams that the kernel accepted; at least one.
  static func send(
    _ descriptor: CInt, _ buffers: [UnsafeRawBufferPointer], to peers: [SocketAddress?]
  ) throws(Errno) -> Int {
    let most = unsafe buffers.count
    return try unsafe withUnsafeTemporaryAllocation(byteCount: most * BatchMemory.perMessage, alignment: 16) {
      memory throws(Errno) in
      let batch = unsafe BatchMemory(memory, count: most)
      for index in 0..<most {
        let room = unsafe batch.address(index)
        let length = peers[index].map { peer in
          unsafe peer.withSockaddr { pointer, length in
            unsafe room.copyMemory(from: UnsafeRawBufferPointer(start: UnsafeRawPointer(pointer), count: Int(length)))
            return Int(length)
          }
        }
        let buffer = unsafe buffers[index]
        unsafe batch.set(
          index, UnsafeMutableRawPointer(mutating: buffer.baseAddress), buffer.count, nameLength: length ?? 0)
      }
      return try call(.sendmmsg, bytes: most) { most in
        unsafe Int(
          fin_send_messages(
            descriptor, batch.headers, UInt32(most), CInt(FIN_MSG_NOSIGNAL | FIN_MSG_DONTWAIT)))
      }
    }
  }
}

internal import CFin
internal import Glibc
internal import SystemPackage

extension Syscalls {
  /// `recvmsg(2)`, scattering: fills the pieces in their order.
  static func receive(
    _ descriptor: CInt, scattering vectors: UnsafeMutableBufferPointer<iovec>
  ) throws(Errno) -> Int {
    try call(.recvmsg, bytes: .max) { most in
      #if FIN_SEAM
      var left = most
      for index in vectors.indices {
        unsafe vectors[index].iov_len = min(vectors[index].iov_len, left)
        unsafe left -= vectors[index].iov_len
      }
      #endif
      var message = unsafe msghdr()
      unsafe message.msg_iov = vectors.baseAddress
      unsafe message.msg_iovlen = vectors.count
      return unsafe recvmsg(descriptor, &message, CInt(FIN_MSG_DONTWAIT))
    }
  }
}

import Fin
import Testing

extension PythonName {
  static let all = streams + ends + programs + datagrams

  /// Runs `body` with both ends of an unconnected datagram pair.
  private static func ends(
    _ body: (borrowing DatagramSocket, borrowing DatagramSocket, _ address: SocketAddress) throws -> Void
  ) throws {
    let first = try DatagramSocket.bind(.loopback(port: 0))
    let second = try DatagramSocket.bind(.loopback(port: 0))
    let address = second.localAddress
    try body(first, second, #require(address))
    first.close()
    second.close()
  }

  static let datagrams: [PythonName] = [
    PythonName("sendto", here: "DatagramSocket.send(_:to:)") {
      try ends { first, second, address throws in
        try first.send("to you", to: address)
        #expect(try second.receive(upTo: 100).bytes == Array("to you".utf8))
      }
    },
    PythonName("recvfrom", here: "DatagramSocket.receive(upTo:), whose `from` is Python's second value") {
      try ends { first, second, address throws in
        try first.send([1, 2, 3], to: address)
        let datagram = try second.receive(upTo: 2)
        #expect(datagram.bytes == [1, 2] && datagram.isTruncated && datagram.length == 3)
        let sender = first.localAddress
        #expect(datagram.sender == sender)
      }
    },
    PythonName("recvfrom_into", here: "DatagramSocket.receive(into:)") {
      try ends { first, second, address throws in
        try first.send([7, 8], to: address)
        var from: SocketAddress?
        let bytes = try [UInt8](capacity: 100) { output throws(SocketError) in
          try unsafe output.withUnsafeMutableBufferPointer { buffer, count throws(SocketError) in
            var room = unsafe OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(buffer), initializedCount: 0)
            from = try second.receive(into: &room).sender
            count = unsafe room.finalize(for: UnsafeMutableRawBufferPointer(buffer))
          }
        }
        let sender = first.localAddress
        #expect(from == sender)
        #expect(bytes == [7, 8])
      }
    },
  ]
}

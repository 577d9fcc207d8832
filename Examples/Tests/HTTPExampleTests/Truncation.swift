import Fin
import HTTPExample
import HTTPTypes
import Testing

/// How a peer cuts a message off.
enum Cut: String, CaseIterable, Sendable {
  case fin, reset
}

@Suite("Truncation: half a message is never taken for a whole one", .timeLimit(.minutes(2)))
struct Truncation {
  private static let head = "POST / HTTP/1.1\r\nHost: x\r\n"
  static let requests = [
    head + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n",
    head + "Content-Length: 11\r\n\r\nhello world",
  ]

  @Test("a request that is cut at any byte reaches no handler as a whole", arguments: requests, Cut.allCases)
  func requestCut(_ request: String, _ cut: Cut) async throws {
    let (whole, errors) = (Notes<String>(), Notes<any Error>())
    let server = HTTPServer { request, body, connection in
      do { whole.add(text(try await body.receiveAll(from: connection))) } catch {
        errors.add(error)
        throw error
      }
      return HTTPReply(.ok)
    }
    let bytes = Array(request.utf8)
    let (_, report) = try await withServer(server) { place, _ in
      for count in 0..<bytes.count {
        let part = text(Array(bytes[..<count]))
        switch cut {
        case .fin:
          let answer = try await talk(place, part, finishing: true)
          #expect(answer.hasPrefix("HTTP/1.1 400 ") || (count == 0 && answer == ""), "\(count): \(answer)")
        case .reset:
          let connection = try await Connection.connect(to: place)
          try await connection.send(part)
          connection.abort()
        }
      }
      #expect(whole.all == [])
      let answer = try await talk(place, request, finishing: true)
      #expect(answer.hasPrefix("HTTP/1.1 200 "))
    }
    #expect(whole.all == ["hello world"])
    #expect(report.served == bytes.count + 1, "\(report)")
    let isTruncation = { (error: any Error) in error as? HTTPError == .truncated }
    // Each cut behind the head was seen by the handler, unless a reset came before it was called.
    let behindHead = bytes.count - (request.components(separatedBy: "\r\n\r\n")[0].utf8.count + 4)
    if cut == .fin { #expect(errors.all.count == behindHead && errors.all.allSatisfy(isTruncation)) }
    #expect(errors.all.count <= behindHead)
  }

  @Test("a request that comes in two parts, divided at any byte, is whole", arguments: requests)
  func requestDivided(_ request: String) async throws {
    let server = HTTPServer { _, body, connection in HTTPReply(.ok, .bytes(try await body.receiveAll(from: connection)))
    }
    let bytes = Array(request.utf8)
    _ = try await withServer(server) { place, _ in
      // One connection: so what is left over of a request would spoil the next one.
      let connection = try await Connection.connect(to: place)
      for count in 1..<bytes.count {
        try await connection.send(Array(bytes[..<count]))
        // So that the server has the first part alone.
        while try connection.bytesUnacknowledged() > 0 { await Task.yield() }
        try await connection.send(Array(bytes[count...]))
        let answer = try await connection.receive(until: Array("hello world".utf8), limit: 200).map(text)
        #expect(answer == "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", "\(count)")
      }
      await connection.close()
    }
  }

  private static let ok = "HTTP/1.1 200 OK\r\n"
  static let responses = [
    ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n",
    ok + "Content-Length: 11\r\n\r\nhello world",
    ok + "Connection: close\r\n\r\nhello world",
  ]

  @Test("a response that is cut at any byte is an error of the client", arguments: responses, Cut.allCases)
  func responseCut(_ response: String, _ cut: Cut) async throws {
    let bytes = Array(response.utf8)
    let endsWithConnection = !response.contains("Content-Length") && !response.contains("chunked")
    let head = response.components(separatedBy: "\r\n\r\n")[0].utf8.count + 4
    try await withRawServer { connection in
      // The path says where to cut.
      guard let request = try await receiveRequest(connection),
        let count = Int(request.dropFirst(5).prefix { $0 != " " })
      else { return }
      try await connection.send(Array(bytes[..<count]))
      if cut == .reset, count < bytes.count { await connection.abort() }
    } _: { place in
      _ = try await withClient(of: place) { client in
        for count in 0...bytes.count {
          let result: Result<[UInt8], any Error>
          do { result = .success(try await client.fetch(.get, "/\(count)", retrying: .never).body) } catch {
            result = .failure(error)
          }
          switch result {
          case .success(let body) where count == bytes.count: #expect(text(body) == "hello world")
          // A FIN is the true end here. A reset is not.
          case .success(let body) where endsWithConnection && cut == .fin && count >= head:
            #expect(body == Array(bytes[head..<count]))
          case .success(let body): Issue.record("cut at \(count) of \(bytes.count), it is whole: \(text(body))")
          case .failure(let error) where cut == .fin: #expect(error as? HTTPError == .truncated, "\(count): \(error)")
          case .failure(let error): #expect((error as? SocketError)?.cause == .reset, "\(count): \(error)")
          }
        }
      }
    }
  }

  @Test("a stream of a server that fails in the middle is a reset, and no end, also for a client of HTTP/1.0")
  func streamFails() async throws {
    struct Broken: Error {}
    let server = HTTPServer { request, _, _ in
      HTTPReply(
        .ok,
        .stream { write in
          try await write(Array("hello".utf8))
          throw Broken()
        })
    }
    let (_, report) = try await withServer(server) { place, _ in
      for version in ["HTTP/1.1\r\nHost: x", "HTTP/1.0"] {
        await #expect { try await talk(place, "GET / \(version)\r\n\r\n") } throws: { error in
          (error as? SocketError)?.cause == .reset
        }
      }
      _ = try await withClient(of: place) { client in
        await #expect { try await client.fetch(.get, "/", retrying: .never) } throws: { error in
          (error as? SocketError)?.cause == .reset
        }
      }
    }
    #expect(report.handlersFailed == 3 && report.endings == [.aborted: 3], "\(report)")
  }
}

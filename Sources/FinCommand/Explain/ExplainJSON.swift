import FinDoctor
import FinTerminal

/// The output of `fin explain` as JSON. The schema is what `fin help json explain` prints.
enum ExplainJSON {
  /// Writes the sockets that were asked about.
  static func write(_ lives: [SocketExplanation], matched: Int, in census: Census, hidden: [String]) {
    let listing = Listing(census)
    whole(census, hidden) { json in
      json.write("matched", number: UInt64(matched))
      json.array("sockets") { json in
        for life in lives {
          json.object { json in write(life, of: listing, to: &json) }
        }
      }
    }
  }

  /// Writes the bind that was asked about.
  static func write(_ outlook: BindForecast, status: ExitStatus, in census: Census, hidden: [String]) {
    whole(census, hidden) { json in
      json.write("status", number: UInt64(status.rawValue))
      json.object("bind") { json in
        let request = outlook.request
        json.write("kind", string: request.transport.description)
        json.write("address", string: request.address.description)
        json.write("port", number: request.port)
        json.write("namespace", number: census.namespaces[Int(request.namespace)].inode)
        json.write("plain", string: ExplainText.word(outlook.plain))
        json.write("reuseAddress", string: ExplainText.word(outlook.reusing))
        if let trial = outlook.trial {
          json.object("tried") { json in
            let answers: [(JSONKey, BindProbe.Answer)] = [
              ("address", trial.address), ("plain", trial.plain), ("reuseAddress", trial.reusing),
            ]
            for (key, answer) in answers {
              switch answer {
              case .untried: break
              case .succeeded: json.write(key, string: "bound")
              case .refused(let name): json.write(key, string: name)
              }
            }
          }
        }
        if let why = outlook.whyUntried { json.write("whyUntried", string: why) }
        json.array("notes") { json in
          for note in outlook.notes { json.write(string: note) }
        }
        json.array("findings") { json in
          for (place, finding) in outlook.obstacles.enumerated() { CheckJSON.write(finding, place, to: &json) }
        }
      }
    }
  }

  private static func whole(_ census: Census, _ hidden: [String], _ body: (inout JSONWriter) -> Void) {
    var json = JSONWriter()
    json.object { json in
      json.writeHead(census, hidden: hidden)
      body(&json)
    }
    json.text.write("\n")
    Output.write(json.text.bytes)
  }

  private static func write(_ life: SocketExplanation, of listing: Listing, to json: inout JSONWriter) {
    let row: ListedSocket =
      switch life.socket {
      case .inet(let place): .inet(place)
      case .unix(let place): .unix(place)
      case .detached(let place): .detached(place)
      }
    json.write("socket") { ListJSON.write(row, of: listing, to: &$0) }
    json.write("title", string: life.title)
    json.write("state", string: life.state)
    json.write("meaning", string: life.meaning)
    write("since", life.since, to: &json)
    json.array("events") { json in
      for event in life.events {
        json.object { json in
          json.write("kind", string: event.kind.rawValue)
          write("ago", event.ago, to: &json)
          json.write("text", string: event.text)
        }
      }
    }
    json.array("next") { json in
      for sentence in life.next { json.write(string: sentence) }
    }
    json.write("outlook", string: life.outlook)
    json.array("noticedBy") { json in
      for sentence in life.attention { json.write(string: sentence) }
    }
    if let end = life.otherEnd {
      json.object("otherEnd") { json in
        json.write("text", string: end.text)
        json.write("pid", numberIfKnown: end.pid.map { UInt32(bitPattern: $0) })
        json.write("fd", numberIfKnown: end.descriptor.map { UInt32(bitPattern: $0) })
      }
    }
    json.array("facts") { json in
      for fact in life.facts {
        json.object { json in
          json.write("topic", string: fact.topic.rawValue)
          json.write("text", string: fact.text)
        }
      }
    }
    json.array("findings") { json in
      for (place, finding) in life.findings.enumerated() { CheckJSON.write(finding, place, to: &json) }
    }
  }

  private static func write(_ key: JSONKey, _ since: AgeBounds, to json: inout JSONWriter) {
    guard since != .unknown else { return }
    json.object(key) { json in
      json.write("atLeastMilliseconds", number: since.lower)
      if since.upper != .max { json.write("atMostMilliseconds", number: since.upper) }
    }
  }
}

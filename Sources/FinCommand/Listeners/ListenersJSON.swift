import FinDoctor
import FinTerminal

/// The listeners as JSON; the schema is what `fin help json listeners` prints.
enum ListenersJSON {
  static func write(_ panels: [ListenerOverview], matching: Int, _ census: Census) {
    var json = JSONWriter()
    json.object { json in
      json.writeHead(census)
      json.write("matching", number: UInt64(matching))
      json.array("listeners") { json in
        for panel in panels {
          json.text.write(ascii: "\n")
          json.object { json in write(panel, census, to: &json) }
        }
      }
    }
    json.text.write("\n")
    Output.write(json.text.bytes)
  }

  private static func write(_ panel: ListenerOverview, _ census: Census, to json: inout JSONWriter) {
    switch panel.place {
    case .inet(let place):
      let socket = census.sockets[place]
      json.write("kind", string: "tcp")
      json.string("address") { $0.write(socket.localAddress) }
      json.write("port", number: socket.localPort)
      json.write("inode", number: socket.inode)
      json.string("cookie") { $0.write(hexadecimal: socket.cookie) }
    case .unix(let place):
      let socket = census.unixSockets[place]
      json.write("kind", string: socket.type.description)
      if let name = census.name(of: socket) { json.write("name", string: name) }
      json.write("inode", number: socket.inode)
      json.string("cookie") { $0.write(hexadecimal: socket.cookie) }
    }
    json.write("namespace", number: census.namespaces[Int(panel.namespace)].inode)
    if let severity = panel.severity() { json.write("severity", string: severity.description) }
    json.write("waiting", number: UInt64(panel.waiting))
    json.write("limit", number: UInt64(panel.limit))
    json.write("full", flag: panel.isFull)
    json.write("limitedBy", string: word(panel.limitedBy))
    json.write("oldest", since: panel.oldest)
    json.write("gone", number: UInt64(panel.gone))
    json.write("ofGroup", flag: panel.countsGroup)
    json.write("group", number: UInt64(panel.group))
    json.write("unfinished", number: UInt64(panel.unfinished))
    json.write("unfinishedAgain", number: UInt64(panel.unfinishedAgain))
    json.write("drops", numberIfKnown: panel.drops.map { UInt64($0) })
    json.write("recentDrops", numberIfKnown: panel.recentDrops.map { UInt64($0) })
    if let rate = panel.dropsPerSecond { json.write("dropsPerSecond", decimal: rate) }
    json.array("holders") { json in
      for holder in panel.holders {
        json.object { json in
          json.write(program: holder.pid, in: census)
          json.write("fd", number: UInt64(max(0, holder.descriptor)))
        }
      }
    }
    json.array("acceptors") { json in
      for acceptor in panel.acceptors { json.object { json in write(acceptor, to: &json) } }
    }
    json.array("descriptors") { json in
      for use in panel.descriptors {
        json.object { json in
          json.write("pid", number: UInt64(max(0, use.pid)))
          json.write("used", numberIfKnown: use.used.map { UInt64($0) })
          json.write("limit", numberIfKnown: use.limit.map { UInt64($0) })
        }
      }
    }
  }

  private static func write(_ acceptor: Watcher, to json: inout JSONWriter) {
    json.write("pid", number: UInt64(max(0, acceptor.pid)))
    if let state = acceptor.state { json.write("state", string: state.description) }
    switch acceptor.way {
    case .epoll(let descriptor, let events):
      json.write("way", string: "epoll")
      json.write("epoll", number: UInt64(max(0, descriptor)))
      json.write("events", number: events)
    case .blocked(let thread, let call):
      json.write("way", string: "blocked")
      json.write("thread", number: UInt64(max(0, thread)))
      json.write("call", string: call)
    case .ring: json.write("way", string: "ring")
    case .unattended: json.write("way", string: "unattended")
    case .unknown: json.write("way", string: "unknown")
    }
  }

  private static func word(_ limit: ListenerOverview.Limit) -> String {
    switch limit {
    case .backlog: "backlog"
    case .somaxconn: "somaxconn"
    case .unknown: "unknown"
    }
  }
}

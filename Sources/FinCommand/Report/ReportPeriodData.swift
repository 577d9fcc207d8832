import FinDoctor

extension ReportPeriodPanel {
  /// Writes the members of the object `period` of a page's data.
  func write(to json: inout JSONWriter) {
    json.write("wantedMilliseconds", signed: Int(period.wanted))
    json.write("milliseconds", signed: Int(period.milliseconds))
    json.write("looks", signed: period.looks)
    json.write("cutShort", flag: period.isCutShort)
    json.array("connections") { json in
      for (group, lives) in connectionRows.prefix(Self.mostRows) {
        json.object { json in
          json.write("owner", string: name(group.process))
          json.write("port", number: group.port)
          json.write("isServer", flag: group.isServer)
          json.write("began", signed: lives.began)
          json.write("ended", signed: lives.ended)
          json.write("beganPerSecond", decimal: period.rate(lives.began))
          json.write("endedPerSecond", decimal: period.rate(lives.ended))
          json.write("timed", signed: lives.known)
          json.write("shortest", since: lives.time(at: 0))
          json.write("half", since: lives.time(at: 0.5))
          json.write("longest", since: lives.time(at: 1))
        }
      }
    }
    json.array("states") { json in
      for (state, entry) in stateRows {
        json.object { json in
          json.write("state", string: state.description)
          json.write("first", signed: entry.first)
          json.write("last", signed: entry.last)
          write(entry.flow, to: &json)
        }
      }
    }
    json.array("findings") { json in
      for (finding, flow) in findingRows.prefix(Self.mostRows) {
        json.object { json in
          json.write("id", string: finding.id.rawValue)
          if let pid = finding.pid { json.write("pid", signed: Int(pid)) }
          write(flow, to: &json)
        }
      }
    }
    json.array("grew") { json in
      for row in growthRows.prefix(Self.mostCourses) {
        json.object { json in
          json.write("what", string: row.name)
          json.write("first", signed: row.course.first)
          json.write("last", signed: row.course.last)
          json.write("neverFell", flag: row.course.neverFell)
          json.array("values") { json in
            for value in row.course.values(atMost: Self.mostPoints) { json.write(signed: value) }
          }
        }
      }
    }
  }

  private func write(_ flow: ReportPeriod.Flow, to json: inout JSONWriter) {
    json.write("came", signed: flow.came)
    json.write("left", signed: flow.left)
    json.write("camePerSecond", decimal: period.rate(flow.came))
    json.write("leftPerSecond", decimal: period.rate(flow.left))
  }

  /// The keys, as `fin help json report` prints them.
  static let schema = """
    period object? of --for
      wantedMilliseconds number
      milliseconds number between the first look and the last
      looks number
      cutShort flag by a signal
      connections [object] by program and port, the busiest
        owner text
        port number of the listener
        isServer flag whether the owner is the listener
        began number
        ended number
        beganPerSecond number
        endedPerSecond number
        timed number that began and ended: those of the times
        shortest object?
          +bounds
        half object? half of them lasted no longer
          +bounds
        longest object?
          +bounds
      states [object] of TCP
        state text
        first number at the first look
        last number
        came number
        left number
        camePerSecond number
        leftPerSecond number
      findings [object] whose sockets changed
        id text
        pid number?
        came number of sockets
        left number
        camePerSecond number
        leftPerSecond number
      grew [object] from the first look to the last
        what text
        first number
        last number
        neverFell flag from one look to the next
        values [number] at the looks, 120 at most
    """
}

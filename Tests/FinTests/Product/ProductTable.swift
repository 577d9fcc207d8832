/// The behaviour of each verb for each family in each phase. A cell is "works", or the word for the refusal; "–" marks
/// an impossible combination.
///
/// The article "What each family does" shows these very tables.
enum ProductTable {
  static let streams = """
    | verb | phase | TCP | MPTCP | Unix |
    | --- | --- | --- | --- | --- |
    | connect | fresh | works | – | works |
    | connect | connecting | .invalid | – | .invalid |
    | connect | connected | .invalid | .invalid | .invalid |
    | connect | send finished | .invalid | .invalid | .invalid |
    | connect | peer finished | .invalid | .invalid | .invalid |
    | connect | both finished | .invalid | .invalid | .invalid |
    | connect | failed | .invalid | .invalid | .invalid |
    | connect | closed | .closed | .closed | .closed |
    | send | fresh | ENOTCONN | – | ENOTCONN |
    | send | connecting | ENOTCONN | – | ENOTCONN |
    | send | connected | works | works | works |
    | send | send finished | .finished | .finished | .finished |
    | send | peer finished | works | works | works |
    | send | both finished | .finished | .finished | .finished |
    | send | failed | .reset | .reset | .reset |
    | send | closed | .closed | .closed | .closed |
    | send(gathering:) | fresh | ENOTCONN | – | ENOTCONN |
    | send(gathering:) | connecting | ENOTCONN | – | ENOTCONN |
    | send(gathering:) | connected | works | works | works |
    | send(gathering:) | send finished | .finished | .finished | .finished |
    | send(gathering:) | peer finished | works | works | works |
    | send(gathering:) | both finished | .finished | .finished | .finished |
    | send(gathering:) | failed | .reset | .reset | .reset |
    | send(gathering:) | closed | .closed | .closed | .closed |
    | sendSome | fresh | ENOTCONN | – | ENOTCONN |
    | sendSome | connecting | ENOTCONN | – | ENOTCONN |
    | sendSome | connected | works | works | works |
    | sendSome | send finished | .finished | .finished | .finished |
    | sendSome | peer finished | works | works | works |
    | sendSome | both finished | .finished | .finished | .finished |
    | sendSome | failed | .reset | .reset | .reset |
    | sendSome | closed | .closed | .closed | .closed |
    | sendFile | fresh | ENOTCONN | – | ENOTCONN |
    | sendFile | connecting | ENOTCONN | – | ENOTCONN |
    | sendFile | connected | works | works | works |
    | sendFile | send finished | .finished | .finished | .finished |
    | sendFile | peer finished | works | works | works |
    | sendFile | both finished | .finished | .finished | .finished |
    | sendFile | failed | .reset | .reset | .reset |
    | sendFile | closed | .closed | .closed | .closed |
    | send(passing:) | fresh | ENOTCONN | – | ENOTCONN |
    | send(passing:) | connecting | ENOTCONN | – | ENOTCONN |
    | send(passing:) | connected | .invalid | .invalid | works |
    | send(passing:) | send finished | .invalid | .invalid | .finished |
    | send(passing:) | peer finished | .invalid | .invalid | works |
    | send(passing:) | both finished | .invalid | .invalid | .finished |
    | send(passing:) | failed | .invalid | .invalid | .reset |
    | send(passing:) | closed | .closed | .closed | .closed |
    | receive | fresh | ENOTCONN | – | ENOTCONN |
    | receive | connecting | ENOTCONN | – | ENOTCONN |
    | receive | connected | works | works | works |
    | receive | send finished | works | works | works |
    | receive | peer finished | end | end | end |
    | receive | both finished | end | end | end |
    | receive | failed | .reset | .reset | .reset |
    | receive | closed | .closed | .closed | .closed |
    | receive(exactly:) | fresh | ENOTCONN | – | ENOTCONN |
    | receive(exactly:) | connecting | ENOTCONN | – | ENOTCONN |
    | receive(exactly:) | connected | works | works | works |
    | receive(exactly:) | send finished | works | works | works |
    | receive(exactly:) | peer finished | end | end | end |
    | receive(exactly:) | both finished | end | end | end |
    | receive(exactly:) | failed | .reset | .reset | .reset |
    | receive(exactly:) | closed | .closed | .closed | .closed |
    | receive(until:) | fresh | ENOTCONN | – | ENOTCONN |
    | receive(until:) | connecting | ENOTCONN | – | ENOTCONN |
    | receive(until:) | connected | works | works | works |
    | receive(until:) | send finished | works | works | works |
    | receive(until:) | peer finished | end | end | end |
    | receive(until:) | both finished | end | end | end |
    | receive(until:) | failed | .reset | .reset | .reset |
    | receive(until:) | closed | .closed | .closed | .closed |
    | receive(into:) | fresh | ENOTCONN | – | ENOTCONN |
    | receive(into:) | connecting | ENOTCONN | – | ENOTCONN |
    | receive(into:) | connected | works | works | works |
    | receive(into:) | send finished | works | works | works |
    | receive(into:) | peer finished | end | end | end |
    | receive(into:) | both finished | end | end | end |
    | receive(into:) | failed | .reset | .reset | .reset |
    | receive(into:) | closed | .closed | .closed | .closed |
    | receive(to:) | fresh | ENOTCONN | – | ENOTCONN |
    | receive(to:) | connecting | ENOTCONN | – | ENOTCONN |
    | receive(to:) | connected | works | works | works |
    | receive(to:) | send finished | works | works | works |
    | receive(to:) | peer finished | end | end | end |
    | receive(to:) | both finished | end | end | end |
    | receive(to:) | failed | .reset | .reset | .reset |
    | receive(to:) | closed | .closed | .closed | .closed |
    | receive(descriptors:) | fresh | ENOTCONN | – | ENOTCONN |
    | receive(descriptors:) | connecting | ENOTCONN | – | ENOTCONN |
    | receive(descriptors:) | connected | .invalid | .invalid | works |
    | receive(descriptors:) | send finished | .invalid | .invalid | works |
    | receive(descriptors:) | peer finished | .invalid | .invalid | end |
    | receive(descriptors:) | both finished | .invalid | .invalid | end |
    | receive(descriptors:) | failed | .invalid | .invalid | .reset |
    | receive(descriptors:) | closed | .closed | .closed | .closed |
    | receiveLine | fresh | ENOTCONN | – | ENOTCONN |
    | receiveLine | connecting | ENOTCONN | – | ENOTCONN |
    | receiveLine | connected | works | works | works |
    | receiveLine | send finished | works | works | works |
    | receiveLine | peer finished | end | end | end |
    | receiveLine | both finished | end | end | end |
    | receiveLine | failed | .reset | .reset | .reset |
    | receiveLine | closed | .closed | .closed | .closed |
    | peek | fresh | ENOTCONN | – | ENOTCONN |
    | peek | connecting | ENOTCONN | – | ENOTCONN |
    | peek | connected | works | works | works |
    | peek | send finished | works | works | works |
    | peek | peer finished | end | end | end |
    | peek | both finished | end | end | end |
    | peek | failed | .reset | .reset | .reset |
    | peek | closed | .closed | .closed | .closed |
    | finishSending | fresh | ENOTCONN | – | ENOTCONN |
    | finishSending | connecting | ENOTCONN | – | ENOTCONN |
    | finishSending | connected | works | works | works |
    | finishSending | send finished | works | works | works |
    | finishSending | peer finished | works | works | works |
    | finishSending | both finished | works | works | works |
    | finishSending | failed | works | works | works |
    | finishSending | closed | .closed | .closed | .closed |
    | close(.confirmed) | fresh | aborted | – | aborted |
    | close(.confirmed) | connecting | aborted | – | aborted |
    | close(.confirmed) | connected | acknowledged | acknowledged | acknowledged |
    | close(.confirmed) | send finished | acknowledged | acknowledged | acknowledged |
    | close(.confirmed) | peer finished | peer finished | peer finished | peer finished |
    | close(.confirmed) | both finished | peer finished | peer finished | peer finished |
    | close(.confirmed) | failed | reset | reset | discarded by peer |
    | close(.confirmed) | closed | aborted | aborted | aborted |
    | close(.lingering) | fresh | aborted | – | aborted |
    | close(.lingering) | connecting | aborted | – | aborted |
    | close(.lingering) | connected | acknowledged | acknowledged | acknowledged |
    | close(.lingering) | send finished | acknowledged | acknowledged | acknowledged |
    | close(.lingering) | peer finished | peer finished | peer finished | peer finished |
    | close(.lingering) | both finished | peer finished | peer finished | peer finished |
    | close(.lingering) | failed | reset | reset | discarded by peer |
    | close(.lingering) | closed | aborted | aborted | aborted |
    | close(.background) | fresh | aborted | – | aborted |
    | close(.background) | connecting | aborted | – | aborted |
    | close(.background) | connected | background | background | background |
    | close(.background) | send finished | background | background | background |
    | close(.background) | peer finished | background | background | background |
    | close(.background) | both finished | background | background | background |
    | close(.background) | failed | reset | reset | discarded by peer |
    | close(.background) | closed | aborted | aborted | aborted |
    | abort | fresh | aborted | – | aborted |
    | abort | connecting | aborted | – | aborted |
    | abort | connected | aborted | aborted | aborted |
    | abort | send finished | aborted | aborted | aborted |
    | abort | peer finished | aborted | aborted | aborted |
    | abort | both finished | aborted | aborted | aborted |
    | abort | failed | reset | reset | discarded by peer |
    | abort | closed | aborted | aborted | aborted |
    | duplicate | connected | works | works | works |
    | duplicate | send finished | works | works | works |
    | duplicate | peer finished | works | works | works |
    | duplicate | both finished | works | works | works |
    | duplicate | failed | works | works | works |
    | detach | connected | works | works | works |
    | detach | send finished | works | works | works |
    | detach | peer finished | works | works | works |
    | detach | both finished | works | works | works |
    | detach | failed | works | works | works |
    | option | fresh | works | – | works |
    | option | connecting | works | – | works |
    | option | connected | works | works | works |
    | option | send finished | works | works | works |
    | option | peer finished | works | works | works |
    | option | both finished | works | works | works |
    | option | failed | works | works | works |
    | option | closed | .closed | .closed | .closed |
    | set(.receiveBuffer) | fresh | works | – | works |
    | set(.receiveBuffer) | connecting | works | – | works |
    | set(.receiveBuffer) | connected | works | works | works |
    | set(.receiveBuffer) | send finished | works | works | works |
    | set(.receiveBuffer) | peer finished | works | works | works |
    | set(.receiveBuffer) | both finished | works | works | works |
    | set(.receiveBuffer) | failed | works | works | works |
    | set(.receiveBuffer) | closed | .closed | .closed | .closed |
    | set(.noDelay) | fresh | works | – | EOPNOTSUPP |
    | set(.noDelay) | connecting | works | – | EOPNOTSUPP |
    | set(.noDelay) | connected | works | works | EOPNOTSUPP |
    | set(.noDelay) | send finished | works | works | EOPNOTSUPP |
    | set(.noDelay) | peer finished | works | works | EOPNOTSUPP |
    | set(.noDelay) | both finished | works | works | EOPNOTSUPP |
    | set(.noDelay) | failed | works | works | EOPNOTSUPP |
    | set(.noDelay) | closed | .closed | .closed | .closed |
    | localAddress | fresh | works | – | works |
    | localAddress | connecting | works | – | works |
    | localAddress | connected | works | works | works |
    | localAddress | send finished | works | works | works |
    | localAddress | peer finished | works | works | works |
    | localAddress | both finished | works | works | works |
    | localAddress | failed | works | works | works |
    | localAddress | closed | works | works | nil |
    | remoteAddress | fresh | nil | – | nil |
    | remoteAddress | connecting | works | – | works |
    | remoteAddress | connected | works | works | works |
    | remoteAddress | send finished | works | works | works |
    | remoteAddress | peer finished | works | works | works |
    | remoteAddress | both finished | works | works | works |
    | remoteAddress | failed | works | works | works |
    | remoteAddress | closed | works | works | works |
    | bytesUnacknowledged | fresh | works | – | works |
    | bytesUnacknowledged | connecting | works | – | works |
    | bytesUnacknowledged | connected | works | works | works |
    | bytesUnacknowledged | send finished | works | works | works |
    | bytesUnacknowledged | peer finished | works | works | works |
    | bytesUnacknowledged | both finished | works | works | works |
    | bytesUnacknowledged | failed | works | works | works |
    | bytesUnacknowledged | closed | .closed | .closed | .closed |
    | tcpState | fresh | works | – | nil |
    | tcpState | connecting | works | – | nil |
    | tcpState | connected | works | works | nil |
    | tcpState | send finished | works | works | nil |
    | tcpState | peer finished | works | works | nil |
    | tcpState | both finished | works | works | nil |
    | tcpState | failed | works | works | nil |
    | tcpState | closed | .closed | .closed | nil |
    | failure | fresh | nil | – | nil |
    | failure | connecting | nil | – | nil |
    | failure | connected | nil | nil | nil |
    | failure | send finished | nil | nil | nil |
    | failure | peer finished | nil | nil | nil |
    | failure | both finished | nil | nil | nil |
    | failure | failed | .reset | .reset | .reset |
    | failure | closed | .closed | .closed | .closed |
    | cookie | fresh | works | – | works |
    | cookie | connecting | works | – | works |
    | cookie | connected | works | works | works |
    | cookie | send finished | works | works | works |
    | cookie | peer finished | works | works | works |
    | cookie | both finished | works | works | works |
    | cookie | failed | works | works | works |
    | cookie | closed | .closed | .closed | .closed |
    | withDescriptor | fresh | works | – | works |
    | withDescriptor | connecting | works | – | works |
    | withDescriptor | connected | works | works | works |
    | withDescriptor | send finished | works | works | works |
    | withDescriptor | peer finished | works | works | works |
    | withDescriptor | both finished | works | works | works |
    | withDescriptor | failed | works | works | works |
    | withDescriptor | closed | .closed | .closed | .closed |
    | share | connected | works | works | works |
    | share | peer finished | works | works | works |
    | share | failed | works | works | works |
    """

  static let listeners = """
    | verb | phase | TCP | MPTCP | Unix |
    | --- | --- | --- | --- | --- |
    | accept | listening | .timedOut | .timedOut | .timedOut |
    | accept | paused | .paused | .paused | .paused |
    | accept | stopping | .closed | .closed | .closed |
    | accept | closed | .closed | .closed | .closed |
    | accept, a client queued | listening | works | works | works |
    | accept, a client queued | paused | .paused | .paused | .paused |
    | accept, a client queued | stopping | works | works | works |
    | accept, a client queued | closed | .closed | .closed | .closed |
    | pause | listening | works | works | works |
    | pause | paused | .invalid | .invalid | .invalid |
    | pause | stopping | .invalid | .invalid | .invalid |
    | pause | closed | .closed | .closed | .closed |
    | resume | listening | .invalid | .invalid | .invalid |
    | resume | paused | works | works | works |
    | resume | stopping | .invalid | .invalid | .invalid |
    | resume | closed | .closed | .closed | .closed |
    | stop | listening | works | works | works |
    | stop | paused | works | works | works |
    | stop | stopping | works | works | works |
    | stop | closed | works | works | works |
    | localAddress | listening | works | works | works |
    | localAddress | paused | works | works | works |
    | localAddress | stopping | works | works | works |
    | localAddress | closed | works | works | works |
    | option | listening | works | works | works |
    | option | paused | works | works | works |
    | option | stopping | works | works | works |
    | option | closed | .closed | .closed | .closed |
    | detach | listening | works | works | works |
    | detach | paused | works | works | works |
    | detach | stopping | works | works | works |
    | detach | closed | .closed | .closed | .closed |
    | close, a client queued | listening | 1 reset | 1 reset | 1 reset |
    | close, a client queued | paused | 0 reset | 0 reset | 1 reset |
    | close, a client queued | stopping | 1 reset | 1 reset | 1 reset |
    | close, a client queued | closed | 0 reset | 0 reset | 0 reset |
    """

  static let datagrams = """
    | verb | phase | UDP | Unix datagram |
    | --- | --- | --- | --- |
    | bind | fresh | works | works |
    | bind | bound | .invalid | .invalid |
    | bind | connected | .invalid | .invalid |
    | bind | closed | .closed | .closed |
    | connect | fresh | works | works |
    | connect | bound | works | works |
    | connect | connected | works | works |
    | connect | closed | .closed | .closed |
    | send | fresh | EDESTADDRREQ | ENOTCONN |
    | send | bound | EDESTADDRREQ | ENOTCONN |
    | send | connected | works | works |
    | send | closed | .closed | .closed |
    | send(to:) | fresh | works | works |
    | send(to:) | bound | works | works |
    | send(to:) | connected | works | works |
    | send(to:) | closed | .closed | .closed |
    | receive | fresh | .timedOut | .timedOut |
    | receive | bound | .timedOut | .timedOut |
    | receive | connected | .timedOut | .timedOut |
    | receive | closed | .closed | .closed |
    | receive, one queued | fresh | – | – |
    | receive, one queued | bound | works | works |
    | receive, one queued | connected | works | works |
    | receive, one queued | closed | .closed | .closed |
    | send(batch:) | fresh | works | works |
    | send(batch:) | bound | works | works |
    | send(batch:) | connected | works | works |
    | send(batch:) | closed | .closed | .closed |
    | send(from:) | fresh | works | .invalid |
    | send(from:) | bound | works | .invalid |
    | send(from:) | connected | works | .invalid |
    | send(from:) | closed | .closed | .invalid |
    | receive(batch:) | fresh | .timedOut | .timedOut |
    | receive(batch:) | bound | .timedOut | .timedOut |
    | receive(batch:) | connected | .timedOut | .timedOut |
    | receive(batch:) | closed | .closed | .closed |
    | receiveArrival | fresh | .timedOut | .timedOut |
    | receiveArrival | bound | .timedOut | .timedOut |
    | receiveArrival | connected | .timedOut | .timedOut |
    | receiveArrival | closed | .closed | .closed |
    | report | fresh | works | .invalid |
    | report | bound | works | .invalid |
    | report | connected | works | .invalid |
    | report | closed | .closed | .invalid |
    | takeReport | fresh | nil | nil |
    | takeReport | bound | nil | nil |
    | takeReport | connected | nil | nil |
    | takeReport | closed | .closed | .closed |
    | join, leave | fresh | works | .invalid |
    | join, leave | bound | works | .invalid |
    | join, leave | connected | works | .invalid |
    | join, leave | closed | .closed | .closed |
    | localAddress | fresh | works | works |
    | localAddress | bound | works | works |
    | localAddress | connected | works | works |
    | localAddress | closed | nil | nil |
    | remoteAddress | fresh | nil | nil |
    | remoteAddress | bound | nil | nil |
    | remoteAddress | connected | works | works |
    | remoteAddress | closed | nil | nil |
    | option | fresh | works | works |
    | option | bound | works | works |
    | option | connected | works | works |
    | option | closed | .closed | .closed |
    | cookie | fresh | works | works |
    | cookie | bound | works | works |
    | cookie | connected | works | works |
    | cookie | closed | .closed | .closed |
    | withDescriptor | fresh | works | works |
    | withDescriptor | bound | works | works |
    | withDescriptor | connected | works | works |
    | withDescriptor | closed | .closed | .closed |
    | detach | fresh | works | works |
    | detach | bound | works | works |
    | detach | connected | works | works |
    """

  static let sockets = """
    | verb | phase | TCP | Unix |
    | --- | --- | --- | --- |
    | bind | fresh | works | works |
    | bind | bound | .invalid | .invalid |
    | listen | fresh | .invalid | .invalid |
    | listen | bound | works | works |
    | connect | fresh | works | works |
    | connect | bound | works | works |
    | localAddress | fresh | works | works |
    | localAddress | bound | works | works |
    | option | fresh | works | works |
    | option | bound | works | works |
    """

  static let adopting = """
    | descriptor | Connection | Listener | DatagramSocket | PacketConnection | PacketListener |
    | --- | --- | --- | --- | --- | --- |
    | stream, fresh | ENOTCONN | .invalid | .invalid | .invalid | .invalid |
    | stream, listening | .invalid | works | .invalid | .invalid | .invalid |
    | stream, connected | works | .invalid | .invalid | .invalid | .invalid |
    | MPTCP, listening | .invalid | works | .invalid | .invalid | .invalid |
    | UDP | .invalid | .invalid | works | .invalid | .invalid |
    | Unix datagram | .invalid | .invalid | works | .invalid | .invalid |
    | SEQPACKET, fresh | .invalid | .invalid | .invalid | ENOTCONN | .invalid |
    | SEQPACKET, listening | .invalid | .invalid | .invalid | .invalid | works |
    | SEQPACKET, connected | .invalid | .invalid | .invalid | works | .invalid |
    | raw | .invalid | .invalid | .invalid | .invalid | .invalid |
    | a file | ENOTSOCK | ENOTSOCK | ENOTSOCK | ENOTSOCK | ENOTSOCK |
    """
}

import CPeers

/// The processor time of the calling thread: `CLOCK_THREAD_CPUTIME_ID`.
public func threadTime() -> Duration { .nanoseconds(peers_thread_time()) }

/// The cookies seen so far: a dump that sockets move about in may tell of one twice.
struct CookieSet {
  /// Open addressing; 0 is an empty place, and no socket's cookie.
  private var places = ContiguousArray<UInt64>(repeating: 0, count: 1 << 12)
  private var count = 0

  /// Whether it was new.
  mutating func insert(_ cookie: UInt64) -> Bool {
    guard cookie != 0 else { return true }
    if count * 2 > places.count { grow() }
    let place = place(of: cookie)
    if places[place] == cookie { return false }
    places[place] = cookie
    count += 1
    return true
  }

  private func place(of cookie: UInt64) -> Int {
    let mask = places.count - 1
    var place = Int(truncatingIfNeeded: cookie &* 0x9e37_79b9_7f4a_7c15 >> 32) & mask
    while places[place] != 0, places[place] != cookie { place = (place + 1) & mask }
    return place
  }

  private mutating func grow() {
    let old = places
    places = ContiguousArray(repeating: 0, count: old.count * 4)
    for cookie in old where cookie != 0 { places[place(of: cookie)] = cookie }
  }
}

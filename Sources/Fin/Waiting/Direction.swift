/// The direction in which a socket has to become ready.
enum Direction {
  case input, output
}

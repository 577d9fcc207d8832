// A relay of one connection in one direction, with splice(2) and a pipe of 1 MiB: the least that a relay can cost.
//   splice PORT TARGET-PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void await(int fd, short events) {
  struct pollfd set = {.fd = fd, .events = events};
  poll(&set, 1, -1);
}

int main(int count, char **words) {
  if (count < 3) return 64;
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, size = 1 << 20;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  name.sin_port = htons(atoi(words[1]));
  if (bind(listener, (void *)&name, sizeof name) || listen(listener, 8)) return 69;
  int source = accept(listener, 0, 0), target = socket(AF_INET, SOCK_STREAM, 0);
  name.sin_port = htons(atoi(words[2]));
  if (connect(target, (void *)&name, sizeof name)) return 69;
  fcntl(source, F_SETFL, O_NONBLOCK);
  fcntl(target, F_SETFL, O_NONBLOCK);
  int ends[2];
  if (pipe2(ends, O_NONBLOCK)) return 71;
  fcntl(ends[1], F_SETPIPE_SZ, size);
  while (1) {
    ssize_t held = splice(source, 0, ends[1], 0, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (held == 0) break;
    if (held < 0) await(source, POLLIN);
    while (held > 0) {
      ssize_t moved = splice(ends[0], 0, target, 0, held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
      if (moved > 0) held -= moved;
      else await(target, POLLOUT);
    }
  }
  shutdown(target, SHUT_WR);
  char byte;
  while (read(target, &byte, 1) > 0) {
  }
  // Its processor time is read before it ends.
  pause();
}

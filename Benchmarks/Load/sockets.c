#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

// Connects to the server. On loopback, a blocking connect does not wait for long: the handshake completes inside the
// call.
int dial(int port) {
  static unsigned turn;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail_call("socket");
  int on = 1;
  if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail_call("TCP_NODELAY");
  // The kernel chooses the port at connect, so that the port must be free only for this destination.
  if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0) fail_call("IP_BIND_ADDRESS_NO_PORT");
  struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010001u + turn++ % 64)};
  if (bind(fd, (struct sockaddr *)&source, sizeof source) != 0) fail_call("bind");
  struct sockaddr_in server = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) fail_call("connect");
  return fd;
}

int make_epoll(void) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) fail_call("epoll_create1");
  return epoll;
}

void watch(int epoll, int fd, uint32_t events, void *owner) {
  struct epoll_event event = {.events = events, .data.ptr = owner};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail_call("epoll_ctl");
}

// A block of pseudo-random bytes, longer than a message. A message is a slice of it.
enum { PLACES = 251 };
static uint8_t *noise;

void messages_prepare(size_t size) {
  free(noise);
  noise = malloc(size + PLACES);
  if (noise == NULL) fail_call("malloc");
  uint64_t state = 88172645463325252u;
  for (size_t i = 0; i < size + PLACES; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    noise[i] = (uint8_t)state;
  }
}

const uint8_t *message(unsigned connection, uint64_t turn) { return noise + (connection * 31 + turn * 7) % PLACES; }

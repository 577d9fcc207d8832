// The reference server over TLS: an epoll loop in C over OpenSSL, which echoes. One thread.
//
// Its settings are those of Fin: one recv for a record (read-ahead), buffers released between records, two tickets.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
  int fd;
  SSL *ssl;
  bool shaken;
};

static int epoll, listener;
static SSL_CTX *context;
static char *buffer;
static int buffer_size;

static void fail(const char *call) {
  perror(call);
  ERR_print_errors_fp(stderr);
  exit(1);
}

static void release(struct connection *c) {
  SSL_free(c->ssl);
  close(c->fd);
  free(c);
}

static void accept_one(void) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) {
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
    fail("accept4");
  }
  struct connection *c = calloc(1, sizeof *c);
  if (c == NULL) fail("calloc");
  c->fd = fd;
  c->ssl = SSL_new(context);
  if (c->ssl == NULL || SSL_set_fd(c->ssl, fd) != 1) fail("SSL_new");
  SSL_set_accept_state(c->ssl);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// Sends a whole message. The load generator reads each answer before it sends more, so that waiting here is rare.
static bool send_all(struct connection *c, int size) {
  for (int sent = 0; sent < size;) {
    int n = SSL_write(c->ssl, buffer + sent, size - sent);
    if (n > 0) {
      sent += n;
      continue;
    }
    if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_WRITE) return false;
    struct pollfd room = {.fd = c->fd, .events = POLLOUT};
    poll(&room, 1, 1000);
  }
  return true;
}

// Returns false when the connection is over.
static bool serve(struct connection *c) {
  if (!c->shaken) {
    int n = SSL_do_handshake(c->ssl);
    if (n != 1) return SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ;
    c->shaken = true;
  }
  for (;;) {
    int n = SSL_read(c->ssl, buffer, buffer_size);
    if (n > 0) {
      if (!send_all(c, n)) return false;
      continue;
    }
    switch (SSL_get_error(c->ssl, n)) {
      case SSL_ERROR_WANT_READ: return true;
      case SSL_ERROR_ZERO_RETURN: SSL_shutdown(c->ssl); return false;
      default: return false;
    }
  }
}

int main(int count, char **words) {
  if (count != 4) {
    fprintf(stderr, "usage: server FOLDER echo BUFFER\n");
    return 2;
  }
  buffer_size = atoi(words[3]);
  buffer = malloc((size_t)buffer_size);
  context = SSL_CTX_new(TLS_server_method());
  if (context == NULL || chdir(words[1]) != 0 || SSL_CTX_use_certificate_chain_file(context, "cert.pem") != 1 ||
      SSL_CTX_use_PrivateKey_file(context, "key.pem", SSL_FILETYPE_PEM) != 1)
    fail("certificate");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);

  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0) fail("bind");
  if (listen(listener, SOMAXCONN) != 0) fail("listen");
  socklen_t size = sizeof address;
  getsockname(listener, (struct sockaddr *)&address, &size);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0) fail("epoll_ctl");
  signal(SIGPIPE, SIG_IGN);  // OpenSSL sends with write(2)
  printf("port %d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    struct epoll_event events[512];
    int ready = epoll_wait(epoll, events, 512, -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) accept_one();
      else if (!serve(c)) release(c);
    }
  }
}

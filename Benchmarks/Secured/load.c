// The load for servers over TLS, in one thread, with OpenSSL. Prints one line of JSON: the server's processor time for
// an operation, or its bytes for an idle connection.
//
//   load handshake PORT PID SECONDS     an operation is a connection: shakes hands, says close_notify, reads the end
//   load ping SIZE PORT PID SECONDS     an operation is a message there and back, on one connection
//   load idle COUNT PORT PID            connections that have shaken hands, and say nothing
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../Load/load.h"

static SSL_CTX *context;
static int port, server;

static SSL *begin(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct sockaddr_in address = {
      .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
  SSL *ssl = SSL_new(context);
  if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1) fail("handshake");
  return ssl;
}

// Says close_notify, and reads until the server's: so its tickets do not turn the close into a reset.
static void end(SSL *ssl) {
  char rest[256];
  int fd = SSL_get_fd(ssl);
  SSL_shutdown(ssl);
  shutdown(fd, SHUT_WR);
  int n = SSL_read(ssl, rest, sizeof rest);
  if (n > 0 || SSL_get_error(ssl, n) != SSL_ERROR_ZERO_RETURN) fail("the server did not say close_notify");
  SSL_free(ssl);
  close(fd);
}

static void ping(SSL *ssl, const char *message, char *answer, int size) {
  if (SSL_write(ssl, message, size) != size) fail("SSL_write");
  for (int got = 0; got < size;) {
    int n = SSL_read(ssl, answer + got, size - got);
    if (n <= 0) fail("SSL_read");
    got += n;
  }
  if (memcmp(message, answer, (size_t)size) != 0) fail("the answer is not the message");
}

int main(int count, char **words) {
  if (count < 5) fail("too few words");
  const char *work = words[1];
  int number = 0, next = 2;
  if (strcmp(work, "handshake") != 0) number = atoi(words[next++]);
  port = atoi(words[next++]);
  server = atoi(words[next++]);
  context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);

  if (strcmp(work, "idle") == 0) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    // What the first connections allocate once for all is no cost of those behind them.
    for (int i = 0; i < 200; i++) begin();
    usleep(300000);
    uint64_t before = server_memory(server).rss;
    for (int i = 0; i < number; i++) begin();
    usleep(300000);
    printf("{\"bytes\": %.0f, \"cpu_ns\": 0, \"waited\": 0}\n", (double)(server_memory(server).rss - before) * 1024 / number);
    return 0;
  }

  double seconds = atof(words[next]);
  char *message = malloc((size_t)number + 1), *answer = malloc((size_t)number + 1);
  for (int i = 0; i < number; i++) message[i] = (char)(i * 31);
  SSL *ssl = number > 0 ? begin() : NULL;
  uint64_t operations = 0, from = 0, until = 0;
  struct usage before = {0}, after = {0};
  // The first part warms up.
  for (int part = 0; part < 2; part++) {
    uint64_t length = (uint64_t)((part == 0 ? 0.2 : 1) * seconds * 1e9);
    operations = 0;
    before = usage_of(server);
    for (from = now_ns(); (until = now_ns()) < from + length; operations++) {
      if (ssl != NULL) ping(ssl, message, answer, number);
      else end(begin());
    }
    after = usage_of(server);
  }
  if (ssl != NULL) end(ssl);
  printf("{\"cpu_ns\": %.1f, \"operations\": %llu, \"waited\": %.4f}\n",
         (double)(after.on_cpu - before.on_cpu) / (double)operations,
         (unsigned long long)operations, (double)(after.waiting - before.waiting) / (double)(until - from));
  return 0;
}

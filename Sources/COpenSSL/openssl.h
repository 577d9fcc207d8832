// The headers of OpenSSL 3, for the package trait TLS, and functions for what OpenSSL has only as macros. No logic.
#pragma once
#if !__has_include(<openssl/ssl.h>)
#error "the package trait TLS needs the headers of OpenSSL 3: apt-get install libssl-dev, or leave the trait off"
#else
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "the package trait TLS needs OpenSSL 3.0 or later; these headers are older"
#endif

static inline int fin_tls_set_least_version(SSL_CTX *_Nonnull context, int version) {
  return (int)SSL_CTX_set_min_proto_version(context, version);
}
static inline void fin_tls_set_modes(SSL_CTX *_Nonnull context) {
  // One system call for a record, instead of one for its head and one for the rest.
  SSL_CTX_set_read_ahead(context, 1);
  // Tickets hold the sessions of a server; a cache beside them would grow.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
}
static inline void fin_tls_keep_sessions(SSL_CTX *_Nonnull context) {
  // OpenSSL hands over the sessions of a client, and keeps none itself.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
}
static inline int fin_tls_set_server_name(SSL *_Nonnull session, const char *_Nonnull name) {
  return (int)SSL_set_tlsext_host_name(session, name);
}
static inline void fin_tls_set_name_callback(
    SSL_CTX *_Nonnull context, int (*_Nonnull callback)(SSL *_Nullable, int *_Nullable, void *_Nullable),
    void *_Nonnull argument) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
  SSL_CTX_set_tlsext_servername_arg(context, argument);
}
static inline void fin_tls_retry_reading(BIO *_Nonnull bio) { BIO_set_retry_read(bio); }
static inline void fin_tls_clear_retry(BIO *_Nonnull bio) { BIO_clear_retry_flags(bio); }
static inline int fin_tls_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int fin_tls_library(unsigned long code) { return ERR_GET_LIB(code); }
static inline int fin_tls_name_count(const GENERAL_NAMES *_Nonnull names) { return sk_GENERAL_NAME_num(names); }
static inline GENERAL_NAME *_Nullable fin_tls_name(const GENERAL_NAMES *_Nonnull names, int index) {
  return sk_GENERAL_NAME_value(names, index);
}
#endif

#include <mosquitto.h>
#include <openssl/ssl.h>

// What Swift cannot call by itself: macros of OpenSSL, and the SSL handle that libmosquitto gives as a bare pointer.

/// The protocol version of an established session, for example `TLSv1.3`; NULL where there is no TLS.
static inline const char *cmosquitto_tls_version(struct mosquitto *client)
{
    SSL *ssl = (SSL *)mosquitto_ssl_get(client);
    return ssl ? SSL_get_version(ssl) : NULL;
}

/// The cipher suite of an established session, for example `TLS_AES_256_GCM_SHA384`; NULL where there is no TLS.
static inline const char *cmosquitto_tls_cipher(struct mosquitto *client)
{
    SSL *ssl = (SSL *)mosquitto_ssl_get(client);
    return ssl ? SSL_get_cipher_name(ssl) : NULL;
}

/// Whether the TLS handshake is over, or none is needed.
static inline int cmosquitto_tls_is_established(struct mosquitto *client)
{
    SSL *ssl = (SSL *)mosquitto_ssl_get(client);
    return ssl ? SSL_is_init_finished(ssl) : 1;
}

/// Why the peer's certificate was refused, as an X509_V_ERR number; 0 where it was not.
static inline long cmosquitto_verify_result(struct mosquitto *client)
{
    SSL *ssl = (SSL *)mosquitto_ssl_get(client);
    return ssl ? SSL_get_verify_result(ssl) : 0;
}

/// OpenSSL's words for an X509_V_ERR number.
static inline const char *cmosquitto_verify_text(long result)
{
    return X509_verify_cert_error_string(result);
}

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/ui.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// What Swift cannot call by itself: variadic functions and macros over typed stacks.

/// Makes a key pair on the curve P-256; NULL when OpenSSL refuses (its error queue says why).
static inline EVP_PKEY *copenssl_generate_p256(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

/// The subject alternative names of a certificate, or NULL where it has none. Freed with `copenssl_names_free`.
static inline void *copenssl_alternative_names(const X509 *certificate)
{
    return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

static inline int copenssl_names_count(const void *names)
{
    return sk_GENERAL_NAME_num((const GENERAL_NAMES *)names);
}

static inline const GENERAL_NAME *copenssl_names_at(const void *names, int index)
{
    return sk_GENERAL_NAME_value((const GENERAL_NAMES *)names, index);
}

static inline void copenssl_names_free(void *names)
{
    GENERAL_NAMES_free((GENERAL_NAMES *)names);
}

/// An empty list of certificates, which owns those pushed to it; NULL without memory.
static inline void *copenssl_certificates_new(void)
{
    return sk_X509_new_null();
}

/// Hands a certificate over to the list; 0 without memory.
static inline int copenssl_certificates_push(void *list, X509 *certificate)
{
    return sk_X509_push((STACK_OF(X509) *)list, certificate);
}

static inline void copenssl_certificates_free(void *list)
{
    sk_X509_pop_free((STACK_OF(X509) *)list, X509_free);
}

/// Prepares the verification of a certificate with the intermediate certificates of a list.
static inline int copenssl_verification_init(X509_STORE_CTX *context, X509_STORE *store, X509 *certificate, void *untrusted)
{
    return X509_STORE_CTX_init(context, store, certificate, (STACK_OF(X509) *)untrusted);
}

/// The bytes that were written to a memory BIO.
static inline long copenssl_memory(BIO *bio, char **bytes)
{
    return BIO_get_mem_data(bio, bytes);
}

/// Writes a distinguished name as RFC 2253 does, but with UTF-8 as it is.
static inline void copenssl_print_name(BIO *bio, const X509_NAME *name)
{
    X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
}

/// Accepts no TLS older than `version` (`TLS1_2_VERSION`, `TLS1_3_VERSION`); 0 when OpenSSL refuses.
static inline int copenssl_set_oldest_version(SSL_CTX *context, int version)
{
    return (int)SSL_CTX_set_min_proto_version(context, version);
}

/// Tells the server which name it is called by (RFC 6066, 3).
static inline int copenssl_set_server_name(SSL *connection, const char *name)
{
    return (int)SSL_set_tlsext_host_name(connection, name);
}

/// How many bytes wait in a memory BIO.
static inline size_t copenssl_pending(BIO *bio)
{
    return BIO_ctrl_pending(bio);
}

/// Makes a key pair on the curve of SM2; NULL when OpenSSL refuses (its error queue says why).
static inline EVP_PKEY *copenssl_generate_sm2(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
}

/// AES-256 key wrap (RFC 3394), which OpenSSL gives only to those who ask for it; 0 when it refuses.
static inline int copenssl_key_wrap_init(EVP_CIPHER_CTX *context, const unsigned char *key, int wraps)
{
    EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    return EVP_CipherInit_ex(context, EVP_aes_256_wrap(), NULL, key, NULL, wraps);
}

/// Adds a certificate to those that are shown after the first one; 0 when OpenSSL refuses.
static inline int copenssl_add_chain_certificate(SSL_CTX *context, X509 *certificate)
{
    return (int)SSL_CTX_add1_chain_cert(context, certificate);
}

/// Gives the buffers of a connection back while it rests.
static inline void copenssl_release_buffers(SSL_CTX *context)
{
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
}

// Engines are deprecated since OpenSSL 3.0, and still the way to PKCS#11 that Debian 12 has. Handles are bare pointers, so that
// Swift does not see the deprecated types.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/// The engine of libp11 (libengine-pkcs11-openssl) with a PKCS#11 module (NULL: that of p11-kit); NULL when there is none. Never freed.
static inline void *copenssl_pkcs11_engine(const char *module)
{
    ENGINE_load_dynamic();
    ENGINE *engine = ENGINE_by_id("dynamic");
    if (!engine) return NULL;
    if (ENGINE_ctrl_cmd_string(engine, "ID", "pkcs11", 0) && ENGINE_ctrl_cmd_string(engine, "DIR_LOAD", "2", 0)
        && ENGINE_ctrl_cmd_string(engine, "DIR_ADD", OPENSSL_info(OPENSSL_INFO_ENGINES_DIR), 0)
        && ENGINE_ctrl_cmd_string(engine, "LIST_ADD", "0", 0) && ENGINE_ctrl_cmd_string(engine, "LOAD", NULL, 0)
        && ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 0)
        && (!module || ENGINE_ctrl_cmd_string(engine, "MODULE_PATH", module, 0)) && ENGINE_init(engine))
        return engine;
    ENGINE_free(engine);
    return NULL;
}

/// Tells an engine the PIN of the token, of which it makes a copy; 0 when it refuses.
static inline int copenssl_engine_set_pin(void *engine, const char *pin)
{
    return ENGINE_ctrl_cmd_string((ENGINE *)engine, "PIN", pin, 0);
}

/// A private key that stays where it is; NULL when the engine does not find it. Nobody is asked for a PIN.
static inline EVP_PKEY *copenssl_engine_key(void *engine, const char *uri)
{
    return ENGINE_load_private_key((ENGINE *)engine, uri, (UI_METHOD *)UI_null(), NULL);
}

#pragma GCC diagnostic pop

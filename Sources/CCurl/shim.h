#include <curl/curl.h>

// What Swift cannot call by itself: variadic functions.

static inline CURLcode ccurl_set_long(CURL *handle, CURLoption option, long value)
{
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode ccurl_set_string(CURL *handle, CURLoption option, const char *value)
{
    return curl_easy_setopt(handle, option, value);
}

static inline CURLcode ccurl_set_pointer(CURL *handle, CURLoption option, const void *value)
{
    return curl_easy_setopt(handle, option, value);
}

/// Takes the body of the answer; returns how many bytes were taken.
typedef size_t (*ccurl_write)(char *bytes, size_t size, size_t count, void *user);

static inline CURLcode ccurl_set_write(CURL *handle, ccurl_write function, void *user)
{
    CURLcode code = curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, function);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_WRITEDATA, user);
}

/// Asked several times a second while a request is under way; ends it when it returns something else than 0.
typedef int (*ccurl_progress)(void *user, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

static inline CURLcode ccurl_set_progress(CURL *handle, ccurl_progress function, void *user)
{
    CURLcode code = curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    if (code == CURLE_OK) code = curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, function);
    return code != CURLE_OK ? code : curl_easy_setopt(handle, CURLOPT_XFERINFODATA, user);
}

static inline long ccurl_response_code(CURL *handle)
{
    long code = 0;
    return curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &code) == CURLE_OK ? code : 0;
}

static inline CURLcode ccurl_global_init(void)
{
    return curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Preloaded into daemons that bind to every address and cannot be told otherwise: bind to 127.0.0.1 instead.
   The system call itself, not the C library's function behind ours: so it loads beside any C library, however old. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    struct sockaddr_in loopback;

    if (address->sa_family != AF_INET || length < sizeof loopback)
        return syscall(SYS_bind, fd, address, length);
    loopback = *(const struct sockaddr_in *)address;
    if (loopback.sin_addr.s_addr == htonl(INADDR_ANY))
        loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return syscall(SYS_bind, fd, &loopback, sizeof loopback);
}

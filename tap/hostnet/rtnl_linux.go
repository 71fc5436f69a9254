package hostnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// rtnl is a route netlink socket. It exists beside netlink.Handle for two
// things that Handle has not: dumps as raw messages, and many requests in one
// write (RFC 3549 section 2.3.1: messages may follow each other in a datagram).
type rtnl struct {
	fd  int
	seq uint32
	buf []byte
}

// request is one message of a batch.
type request struct {
	typ, flags uint16
	body       []byte
	what       string       // for the error: "add address 10.0.0.1/24 to br0"
	tolerate   []unix.Errno // answers that mean "already so"
}

const (
	rtnlBuffer = 8 << 20  // for answers: each takes the kernel nearly 1 KiB
	maxBatch   = 64 << 10 // bytes in a write
)

func openRTNL() (*rtnl, error) { return openNetlink(unix.NETLINK_ROUTE) }

func openNetlink(protocol int) (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	s := &rtnl{fd: fd, buf: make([]byte, 1<<20)}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind netlink socket: %w", err)
	}
	// Without the privilege the defaults must do.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rtnlBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, rtnlBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	return s, nil
}

func (s *rtnl) close() { unix.Close(s.fd) }

// append adds a message with its header to a datagram.
func (s *rtnl) append(b []byte, typ, flags uint16, body []byte) []byte {
	s.seq++
	n := unix.NLMSG_HDRLEN + len(body)
	b = binary.NativeEndian.AppendUint32(b, uint32(n))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, s.seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // the kernel knows who we are
	b = append(b, body...)
	return append(b, make([]byte, align4(n)-n)...)
}

// dump asks for all objects of a type; answer is the type of its messages.
func (s *rtnl) dump(typ, answer uint16, body []byte) (list [][]byte, err error) {
	// A table that changes meanwhile makes the kernel say so: ask again.
	for range 5 {
		if list, err = s.dumpOnce(typ, answer, body); !errors.Is(err, errInterrupted) {
			return list, err
		}
	}
	return nil, err
}

var errInterrupted = errors.New("the network changes faster than it can be read")

func (s *rtnl) dumpOnce(typ, answer uint16, body []byte) (list [][]byte, err error) {
	b := s.append(nil, typ, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, body)
	if err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("ask the kernel: %w", err)
	}
	interrupted := false
	for {
		done := false
		err := s.receive(func(h header, body []byte) error {
			interrupted = interrupted || h.flags&unix.NLM_F_DUMP_INTR != 0
			switch {
			case h.seq != s.seq:
			case h.typ == unix.NLMSG_DONE:
				done = true
			case h.typ == unix.NLMSG_ERROR:
				done = true
				if code, text := ackError(h, body); code != 0 {
					return fmt.Errorf("read from the kernel: %w%s", code, text)
				}
			case h.typ == answer:
				list = append(list, append([]byte(nil), body...))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if done && interrupted {
			return nil, errInterrupted
		}
		if done {
			return list, nil
		}
	}
}

// batch sends requests in one write, or in few, and returns the first refusal.
// The kernel carries out all of them, whatever it says to one.
func (s *rtnl) batch(reqs []request) error {
	for len(reqs) > 0 {
		var b []byte
		first, n := s.seq+1, 0
		for _, r := range reqs {
			if n > 0 && len(b)+len(r.body)+32 > maxBatch {
				break
			}
			b = s.append(b, r.typ, r.flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK, r.body)
			n++
		}
		if err := unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return fmt.Errorf("send to the kernel: %w", err)
		}
		if err := s.acks(first, reqs[:n]); err != nil {
			return err
		}
		reqs = reqs[n:]
	}
	return nil
}

// acks waits for the answers to reqs, whose numbers begin at first.
func (s *rtnl) acks(first uint32, reqs []request) (refused error) {
	for left := len(reqs); left > 0; {
		err := s.receive(func(h header, body []byte) error {
			i := int(h.seq - first)
			if h.typ != unix.NLMSG_ERROR || i < 0 || i >= len(reqs) {
				return nil
			}
			left--
			code, text := ackError(h, body)
			if code == 0 || refused != nil {
				return nil
			}
			for _, t := range reqs[i].tolerate {
				if t == code {
					return nil
				}
			}
			refused = fmt.Errorf("%s: %w%s", reqs[i].what, code, text)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return refused
}

type header struct {
	typ, flags uint16
	seq        uint32
}

// receive reads one datagram and calls f for each message in it.
func (s *rtnl) receive(f func(header, []byte) error) error {
	n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read from the kernel: %w", err)
	}
	for b := s.buf[:n]; len(b) >= unix.NLMSG_HDRLEN; {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return errors.New("read from the kernel: a message is cut off")
		}
		h := header{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), binary.NativeEndian.Uint32(b[8:])}
		if err := f(h, b[unix.NLMSG_HDRLEN:size]); err != nil {
			return err
		}
		b = b[min(align4(size), len(b)):]
	}
	return nil
}

// ackError reads the error number of an NLMSG_ERROR, and the sentence that the
// kernel may add to it.
func ackError(h header, body []byte) (unix.Errno, string) {
	if len(body) < 4 {
		return unix.EBADMSG, ""
	}
	code := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	const capped = 4 + unix.NLMSG_HDRLEN // the number, and the request's header
	if h.flags&unix.NLM_F_ACK_TLVS == 0 || h.flags&unix.NLM_F_CAPPED == 0 || len(body) < capped {
		return code, ""
	}
	if text := strings.TrimRight(string(parseAttrs(body[capped:]).get(unix.NLMSGERR_ATTR_MSG)), "\x00"); text != "" {
		return code, " (" + strings.TrimSuffix(text, ".") + ")"
	}
	return code, ""
}

func align4(n int) int { return (n + 3) &^ 3 }

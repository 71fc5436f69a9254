package qemu

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// AgentPort is the name of the virtio port that a guest's agent opens.
const AgentPort = "org.qemu.guest_agent.0"

// agentTime is how long an agent may take for all of its answer. It is short
// because QEMU accepts for a guest that has none, which never answers.
const agentTime = time.Second

// maxSaid bounds what one guest can make us read: a card takes about 500 bytes.
const maxSaid = 1 << 20

// GuestAddrs asks the QEMU guest agent behind a socket for the addresses of the
// guest's interfaces, by MAC (docs/interop/qemu-ga-ref of QEMU). All of it is
// what the guest says, and may be a lie.
func GuestAddrs(ctx context.Context, path string) (map[[6]byte][]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTime)
	defer cancel()
	return askAgent(ctx, path)
}

func askAgent(ctx context.Context, path string) (map[[6]byte][]netip.Addr, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to the guest's agent: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	in := bufio.NewReader(io.LimitReader(conn, maxSaid))
	if err := agentSync(conn, in); err != nil {
		return nil, fmt.Errorf("the guest's agent: %w", err)
	}
	if _, err := io.WriteString(conn, `{"execute":"guest-network-get-interfaces"}`+"\n"); err != nil {
		return nil, fmt.Errorf("ask the guest's agent: %w", err)
	}
	answer, err := in.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the guest's agent does not answer: %w", err)
	}
	return readInterfaces(answer)
}

// agentSync leaves behind what others have asked and the guest has yet to
// answer. A byte that JSON cannot have ends what the agent was told in part;
// before its answer to guest-sync-delimited it sends the same.
func agentSync(out io.Writer, in *bufio.Reader) error {
	const mark = "\xFF"
	var b [8]byte
	_, _ = rand.Read(b[:])                       // never fails
	id := binary.LittleEndian.Uint64(b[:]) >> 11 // whole in a double, too
	if _, err := fmt.Fprintf(out, mark+`{"execute":"guest-sync-delimited","arguments":{"id":%d}}`+"\n", id); err != nil {
		return err
	}
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("does not answer: %w", err)
		}
		var answer struct {
			Return *uint64 `json:"return"`
		}
		i := bytes.LastIndexByte(line, mark[0])
		if i >= 0 && json.Unmarshal(line[i+1:], &answer) == nil && answer.Return != nil && *answer.Return == id {
			return nil
		}
	}
}

// readInterfaces reads an agent's answer. Left out is what nobody outside the
// guest can use, and what is no address.
func readInterfaces(answer []byte) (map[[6]byte][]netip.Addr, error) {
	var a struct {
		Return []struct {
			MAC   string `json:"hardware-address"`
			Addrs []struct {
				IP string `json:"ip-address"`
			} `json:"ip-addresses"`
		} `json:"return"`
		Error *Error `json:"error"`
	}
	switch err := json.Unmarshal(answer, &a); {
	case err != nil:
		return nil, fmt.Errorf("the guest's agent is not understood: %w", err)
	case a.Error != nil:
		return nil, fmt.Errorf("the guest's agent: %q", a.Error.Desc) // the guest's words: no escapes for a terminal
	case a.Return == nil:
		return nil, errors.New("the guest's agent answers nothing")
	}
	found := map[[6]byte][]netip.Addr{}
	for _, card := range a.Return {
		mac, err := net.ParseMAC(card.MAC)
		if err != nil || len(mac) != 6 {
			continue // lo has none
		}
		for _, addr := range card.Addrs {
			ip, err := netip.ParseAddr(addr.IP)
			if ip = ip.Unmap(); err == nil && ip.Zone() == "" && ip.IsGlobalUnicast() {
				found[[6]byte(mac)] = append(found[[6]byte(mac)], ip)
			}
		}
	}
	return found, nil
}

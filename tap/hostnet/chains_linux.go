package hostnet

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Chain is a firewall's chain that what is forwarded passes: of nftables, or of
// an iptables that is built on it.
type Chain struct {
	Family string // ip, ip6, inet or bridge
	Table  string
	Name   string
	Drops  bool // its policy: what no rule lets pass
}

const (
	hookForward   = 2 // NF_INET_FORWARD and NF_BR_FORWARD (linux/netfilter.h, netfilter_bridge.h)
	policyDrop    = 0 // NF_DROP
	sizeofNfgen   = 4 // struct nfgenmsg: family, version, resource
	messageNewCh  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWCHAIN
	messageGetCh  = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETCHAIN
	policyUnknown = 0xffffffff
)

// ForwardChains lists the chains of this network namespace that forwarded frames
// pass. It takes CAP_NET_ADMIN.
func ForwardChains() (list []Chain, err error) {
	s, err := openNetlink(unix.NETLINK_NETFILTER)
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.close()
	bodies, err := s.dump(messageGetCh, messageNewCh, make([]byte, sizeofNfgen))
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) { // this kernel has no nftables
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the firewall's chains: %w", err)
	}
	for _, b := range bodies {
		if c, ok := forwardChain(b); ok {
			list = append(list, c)
		}
	}
	return list, nil
}

// forwardChain reads a chain; ok tells whether it is one of those.
func forwardChain(b []byte) (c Chain, ok bool) {
	families := map[byte]string{unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6", unix.NFPROTO_INET: "inet", unix.NFPROTO_BRIDGE: "bridge"}
	if len(b) < sizeofNfgen {
		return c, false
	}
	list := parseAttrs(b[sizeofNfgen:])
	hook := list.get(unix.NFTA_CHAIN_HOOK)
	c = Chain{families[b[0]], list.text(unix.NFTA_CHAIN_TABLE), list.text(unix.NFTA_CHAIN_NAME), false}
	c.Drops = bigEndian(list.get(unix.NFTA_CHAIN_POLICY)) == policyDrop
	return c, hook != nil && c.Family != "" && bigEndian(parseAttrs(hook).get(unix.NFTA_HOOK_HOOKNUM)) == hookForward
}

// bigEndian is a number of netfilter's.
func bigEndian(b []byte) uint32 {
	if len(b) < 4 {
		return policyUnknown
	}
	return binary.BigEndian.Uint32(b)
}

package frame_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"vnetkit/switch/frame"
)

func TestParseMAC(t *testing.T) {
	want := frame.MAC{0x52, 0x54, 0x00, 0xab, 0xcd, 0xef}
	for _, text := range []string{"52:54:00:ab:cd:ef", "52-54-00-AB-cd-EF"} {
		m, err := frame.ParseMAC(text)
		if err != nil || m != want {
			t.Errorf("ParseMAC(%q) = %v, %v", text, m, err)
		}
	}
	for _, text := range []string{
		"", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:00", "52:54:00:ab:cd-ef", "52.54.00.ab.cd.ef",
		"5254:00:ab:cd:ef0", "52:54:00:ab:cd:eg", "525400abcdef", "52:54:00:ab:cd:e ", " 52:54:00:ab:cd:e",
		"+2:54:00:ab:cd:ef",
	} {
		if m, err := frame.ParseMAC(text); err == nil {
			t.Errorf("ParseMAC(%q) = %v, want an error", text, m)
		}
	}
}

func TestMACRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := frame.MAC(rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "mac"))
		if got, err := frame.ParseMAC(m.String()); err != nil || got != m {
			t.Fatalf("as text: %v, %v, want %v", got, err, m)
		}
		if got := frame.MACFromUint64(m.Uint64()); got != m {
			t.Fatalf("as a number: %v, want %v", got, m)
		}
		if m.Uint64()>>48 != 0 {
			t.Fatalf("%v uses more than 48 bits: %x", m, m.Uint64())
		}
		text, err := json.Marshal(m)
		var got frame.MAC
		if err != nil || json.Unmarshal(text, &got) != nil || got != m {
			t.Fatalf("as JSON: %s, %v, %v", text, got, err)
		}
	})
}

func TestMACUnmarshalKeepsOldOnError(t *testing.T) {
	m := frame.Broadcast
	if err := m.UnmarshalText([]byte("nonsense")); err == nil || m != frame.Broadcast {
		t.Errorf("UnmarshalText made %v and said: %v", m, err)
	}
}

func TestMACKinds(t *testing.T) {
	for _, c := range []struct {
		mac             string
		group, reserved bool
	}{
		{"00:00:00:00:00:00", false, false},
		{"52:54:00:12:34:56", false, false},
		{"ff:ff:ff:ff:ff:ff", true, false},
		{"01:00:5e:00:00:01", true, false},
		{"33:33:00:00:00:01", true, false},
		{"fe:80:c2:00:00:00", false, false},
		{"01:80:c2:00:00:00", true, true},
		{"01:80:c2:00:00:0f", true, true},
		{"01:80:c2:00:00:10", true, false},
		{"01:80:c2:00:01:00", true, false},
		{"01:80:c2:01:00:00", true, false},
		{"01:80:c3:00:00:00", true, false},
		{"01:81:c2:00:00:00", true, false},
		{"00:80:c2:00:00:00", false, false},
	} {
		m, err := frame.ParseMAC(c.mac)
		if err != nil {
			t.Fatal(err)
		}
		if m.IsGroup() != c.group || m.IsReserved() != c.reserved {
			t.Errorf("%s: group %t, reserved %t, want %t, %t", c.mac, m.IsGroup(), m.IsReserved(), c.group, c.reserved)
		}
	}
}

package console

import "strings"

// command is one line of the table.
type command struct {
	path   string
	syntax string
	help   string
	data   bool              // answers with data, between a header and a dot
	run    func(*call) error // nil: the title of a menu
}

const menuTitle = "============"

// commands is everything that can be typed. The order counts twice: help prints
// it, and the first whose path begins a line is what the line means.
func commands() []command {
	return []command{
		{path: "ds", syntax: menuTitle, help: "DATA SOCKET MENU"},
		{"ds/showinfo", "", "show ds info", true, (*call).dsInfo},
		{"help", "[arg]", "Help (limited to arg when specified)", true, (*call).printHelp},
		{"logout", "", "logout from this mgmt terminal", false, (*call).logout},
		{"shutdown", "", "shutdown of the switch", false, (*call).shutdown},
		{"showinfo", "", "show switch version and info", true, (*call).showInfo},
		{"load", "path", "load a configuration script", false, (*call).load},
		{path: "debug", syntax: menuTitle, help: "DEBUG MENU"},
		{"debug/list", "", "list debug categories", true, (*call).debugList},
		{"debug/add", "dbgpath", "enable debug info for a given category", false, (*call).debugAdd},
		{"debug/del", "dbgpath", "disable debug info for a given category", false, (*call).debugDel},
		{path: "plugin", syntax: menuTitle, help: "PLUGINS MENU"},
		{"plugin/list", "", "list plugins", true, (*call).pluginList},
		{"plugin/add", "library", "load a plugin", false, (*call).pluginAdd},
		{"plugin/del", "name", "unload a plugin", false, (*call).pluginDel},
		{path: "hash", syntax: menuTitle, help: "HASH TABLE MENU"},
		{"hash/showinfo", "", "show hash info", true, (*call).hashInfo},
		{"hash/setsize", "N", "change hash size", false, (*call).hashSetSize},
		{"hash/setgcint", "N", "change garbage collector interval", false, (*call).hashSetGC},
		{"hash/setexpire", "N", "change hash entries expire time", false, (*call).hashSetExpire},
		{"hash/setminper", "N", "minimum persistence time", false, (*call).hashSetMinPer},
		{"hash/print", "", "print the hash table", true, (*call).hashPrint},
		{"hash/find", "MAC [VLAN]", "MAC lookup", true, (*call).hashFind},
		{path: "fstp", syntax: menuTitle, help: "FAST SPANNING TREE MENU"},
		{"fstp/showinfo", "", "show fstp info", true, (*call).fstpInfo},
		{"fstp/setfstp", "0/1", "Fast spanning tree protocol 1=ON 0=OFF", true, (*call).fstpSet},
		{"fstp/setedge", "VLAN PORT 1/0", "Define an edge port for a vlan 1=Y 0=N", false, (*call).fstpSetEdge},
		{"fstp/bonus", "VLAN PORT COST", "set the port bonus for a vlan", false, (*call).fstpBonus},
		{"fstp/print", "[N]", "print fst data for the defined vlan", true, (*call).fstpPrint},
		{path: "port", syntax: menuTitle, help: "PORT STATUS MENU"},
		{"port/showinfo", "", "show port info", true, (*call).portInfo},
		{"port/setnumports", "N", "set the number of ports", false, (*call).portSetNum},
		{"port/sethub", "0/1", "1=HUB 0=switch", false, (*call).portSetHub},
		{"port/setvlan", "N VLAN", "set port VLAN (untagged)", false, (*call).portSetVLAN},
		{"port/createauto", "", "create a port with an automatically allocated id (inactive|notallocatable)", true, (*call).portCreateAuto},
		{"port/create", "N", "create the port N (inactive|notallocatable)", false, (*call).portCreate},
		{"port/remove", "N", "remove the port N", false, (*call).portRemove},
		{"port/allocatable", "N 0/1", "Is the port allocatable as unnamed? 1=Y 0=N", false, (*call).portAllocatable},
		{"port/setuser", "N user", "access control: set user", false, (*call).portSetUser},
		{"port/setgroup", "N user", "access control: set group", false, (*call).portSetGroup},
		{"port/epclose", "N ID", "remove the endpoint port N/id ID", false, (*call).portEndpointClose},
		{"port/resetcounter", "[N]", "reset the port (N) counters", false, (*call).portResetCounter},
		{"port/print", "[N]", "print the port/endpoint table", true, (*call).portPrint},
		{"port/allprint", "[N]", "print the port/endpoint table (including inactive port)", true, (*call).portPrintAll},
		{path: "vlan", syntax: menuTitle, help: "VLAN MANAGEMENT MENU"},
		{"vlan/create", "N", "create the VLAN with tag N", false, (*call).vlanCreate},
		{"vlan/remove", "N", "remove the VLAN with tag N", false, (*call).vlanRemove},
		{"vlan/addport", "N PORT", "add port to the vlan N (tagged)", false, (*call).vlanAddPort},
		{"vlan/delport", "N PORT", "add port to the vlan N (tagged)", false, (*call).vlanDelPort},
		{"vlan/print", "[N]", "print the list of defined vlan", true, (*call).vlanPrint},
		{"vlan/allprint", "[N]", "print the list of defined vlan (including inactive port)", true, (*call).vlanPrintAll},
		{path: "pdump", syntax: menuTitle, help: "DUMP Packets to file"},
		{"pdump/active", "0/1", "start dumping data", true, (*call).pdumpActive},
		{"pdump/filename", "<file>", "set/show output filename (default: vde_dump.cap)", true, (*call).pdumpFile},
		{"pdump/buffered", "0/1", "set buffered/unbuffered dump", false, (*call).pdumpBuffered},
		{path: "iplog", syntax: menuTitle, help: "IP/Mac/User Logging"},
		{"iplog/showinfo", "", "Show info on logging", true, (*call).iplogInfo},
		{"iplog/logfile", "pathname", "Set the logfile", false, (*call).iplogFile},
		{"iplog/ipadd", "ipaddr/mask", "add an ipv4/v6 range", false, (*call).iplogAdd},
		{"iplog/ipdel", "ipaddr/mask", "del an ipv6/v6 range", false, (*call).iplogDel},
		{"iplog/list", "", "list ip ranges", true, (*call).iplogRanges},
		{"iplog/setgcint", "N", "change garbage collector interval", false, (*call).iplogSetGC},
		{"iplog/setexpire", "N", "change iplog entries expire time", false, (*call).iplogSetExpire},
		{"iplog/iplist", "", "list active IP", true, (*call).iplogList},
		{"iplog/ipport", "port", "list active IP on a port", true, (*call).iplogPort},
		{"iplog/ipuser", "user", "list active IP of a user", true, (*call).iplogUser},
		{"iplog/ipsearch", "ipaddr", "search an IP address", true, (*call).iplogSearch},
	}
}

const blanks = " \t\r\v\f"

// match finds what line means, and the rest of it; nil: nothing.
func (c *Console) match(line string) (*command, string) {
	for i := range c.table {
		cmd := &c.table[i]
		if cmd.run == nil {
			continue
		}
		if rest, ok := strings.CutPrefix(line, cmd.path); ok {
			return cmd, strings.Trim(rest, blanks)
		}
	}
	return nil, ""
}

// isComment tells whether a line asks for nothing.
func isComment(line string) bool {
	line = strings.Trim(line, blanks)
	return line == "" || line[0] == '#'
}

// printHelp lists the commands whose path begins with the argument.
func (c *call) printHelp() error {
	c.printf("%-18s %-15s %s\n", "COMMAND PATH", "SYNTAX", "HELP")
	c.printf("%-18s %-15s %s\n", "------------", "--------------", "------------")
	for _, cmd := range c.table {
		if strings.HasPrefix(cmd.path, c.arg) {
			c.printf("%-18s %-15s %s\n", cmd.path, cmd.syntax, cmd.help)
		}
	}
	return nil
}

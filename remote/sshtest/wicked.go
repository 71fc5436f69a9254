package sshtest

// Wicked are words that a shell would do something with.
var Wicked = []string{
	"plain", "", "two words", "it's", `"double"`, "new\nline", "$(touch /tmp/never)", "`id`", "$HOME", "*", "~", "a;b", "a&b", "a|b", ">x", "<x", "#c", "!!", `back\slash`, `\`, "'", "''", "-n", "--", "A=b", "=ls", "{a,b}", "[a-z]", "?", "\t", "ü", "\x01\xff", "a'b\"c\\d$e`f",
	"#", "!", "a=b,c", "{}", "-x", `'\''`,
}

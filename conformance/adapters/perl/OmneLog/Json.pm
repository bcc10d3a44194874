# SPDX-License-Identifier: MIT
package OmneLog::Json;

# JSON by RFC 8259 and chapter 5 of SPEC.md. JSON::PP accepts members that repeat, lone surrogates
# and numbers beyond a double, and loses the spelling of a number. So this module has a parser.
#
# A value is [kind, content]: [s => text], [n => the digits as written], [l => 'true', 'false' or
# 'null'], [a => list of values], [o => list of names and values in turn].

use strict;
use warnings;
no warnings qw(recursion surrogate nonchar non_unicode);
use POSIX ();

our $LONE_SURROGATES = 0;    # requests to an adapter may have them
our $DEPTH           = 127;  # ACC-13
my $INFINITY = 9**9**9;
my %SHORT = ('"' => '"', '\\' => '\\', '/' => '/', b => "\b", f => "\f", n => "\n", r => "\r", t => "\t");

# Return the characters that bytes in UTF-8 encode, or undef if they are not UTF-8. Perl's own
# decoding accepts surrogates and code points beyond Unicode.
sub characters {
    my ($bytes) = @_;
    return undef unless utf8::decode($bytes);
    return $bytes =~ /[\x{D800}-\x{DFFF}]|[^\x{0}-\x{10FFFF}]/ ? undef : $bytes;
}

# Return the value of a JSON text in UTF-8. Dies with a reason.
sub parse {
    my ($bytes) = @_;
    my $text = characters($bytes);
    die "not UTF-8\n" unless defined $text;
    pos($text) = 0;
    my $value = _value(\$text, 0);
    _space(\$text);
    _unexpected(\$text) if pos($text) < length $text;
    return $value;
}

sub _space {
    my ($text) = @_;
    $$text =~ /\G[ \t\n\r]*/gc;
}

sub _unexpected {
    my ($text) = @_;
    my $at = pos($$text) // 0;
    die $at < length $$text ? "not JSON at character $at\n" : "not JSON: it ends too early\n";
}

sub _value {
    my ($text, $depth) = @_;
    _space($text);
    return [s => _string($text)] if $$text =~ /\G"/gc;
    if ($$text =~ /\G(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/gc) {
        my $digits = $1;
        my ($number) = POSIX::strtod($digits);
        die "a number that no double can hold\n" if abs($number) == $INFINITY;
        return [n => $digits];
    }
    return [l => $1] if $$text =~ /\G(true|false|null)/gc;
    $$text =~ /\G([\[{])/gc or _unexpected($text);
    die "more than $DEPTH containers within one another\n" if ++$depth > $DEPTH;
    return $1 eq '[' ? _array($text, $depth) : _object($text, $depth);
}

sub _array {
    my ($text, $depth) = @_;
    my @items;
    _space($text);
    return [a => \@items] if $$text =~ /\G\]/gc;
    while (1) {
        push @items, _value($text, $depth);
        _space($text);
        return [a => \@items] if $$text =~ /\G\]/gc;
        $$text =~ /\G,/gc or _unexpected($text);
    }
}

sub _object {
    my ($text, $depth) = @_;
    my (@members, %seen);
    _space($text);
    return [o => \@members] if $$text =~ /\G\}/gc;
    while (1) {
        _space($text);
        $$text =~ /\G"/gc or _unexpected($text);
        my $name = _string($text);
        die "two members have one name\n" if $seen{$name}++;    # ACC-12
        _space($text);
        $$text =~ /\G:/gc or _unexpected($text);
        push @members, $name, _value($text, $depth);
        _space($text);
        return [o => \@members] if $$text =~ /\G\}/gc;
        $$text =~ /\G,/gc or _unexpected($text);
    }
}

# Return the text of a string whose opening quote was just parsed, and parse the closing quote too.
sub _string {
    my ($text) = @_;
    my @pieces;
    while (1) {
        push @pieces, $1 if $$text =~ /\G([^"\\\x00-\x1f]+)/gc;
        return join '', @pieces if $$text =~ /\G"/gc;
        if ($$text =~ /\G\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})/gc) {
            push @pieces, chr(0x10000 + ((hex($1) - 0xD800) << 10) + hex($2) - 0xDC00);
        }
        elsif ($$text =~ /\G\\u([0-9a-fA-F]{4})/gc) {
            my $code = hex $1;
            die "a lone surrogate\n" if $code >= 0xD800 && $code <= 0xDFFF && !$LONE_SURROGATES;
            push @pieces, chr $code;
        }
        elsif ($$text =~ m{\G\\(["\\/bfnrt])}gc) {
            push @pieces, $SHORT{$1};
        }
        else {
            _unexpected($text);
        }
    }
}

# Return the member of an object that has this name, or undef.
sub member {
    my ($object, $name) = @_;
    my @members = @{$object->[1]};
    while (my ($key, $value) = splice @members, 0, 2) {
        return $value if $key eq $name;
    }
    return undef;
}

# Return text between quotes, in which characters that need an escape are escaped.
sub quote {
    my ($text) = @_;
    my %letter = reverse %SHORT;
    delete $letter{'/'};
    $text =~ s/(["\\\x00-\x1f])/$letter{$1} ? "\\$letter{$1}" : sprintf('\\u%04x', ord $1)/ge;
    return qq("$text");
}

# Return a value as JSON, in characters. A plain scalar instead of a value counts as text.
sub spell {
    my ($value) = @_;
    return quote($value) unless ref $value;
    my ($kind, $content) = @$value;
    return quote($content) if $kind eq 's';
    return '[' . join(',', map { spell($_) } @$content) . ']' if $kind eq 'a';
    return $content if $kind ne 'o';
    my (@members, @rest);
    @rest = @$content;
    while (my ($name, $item) = splice @rest, 0, 2) {
        push @members, quote($name) . ':' . spell($item);
    }
    return '{' . join(',', @members) . '}';
}

1;

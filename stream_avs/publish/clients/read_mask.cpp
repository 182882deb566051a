// Reader of the stream-avs wire format, version 1 (../WIRE.md), profile "latest", in C++17 and zlib.
//
//   c++ -std=c++17 -O2 -o read_mask read_mask.cpp -lz
//   ./read_mask FRAME_FILE IDS_FILE      prints the header, writes class ids, one byte per pixel
//
// Copy everything above main() into your project; feed it the frame a ZeroMQ SUB socket gives. All lengths
// come from outside and are checked before they are used.

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace stream_avs {

constexpr std::size_t kMaxHeaderBytes = 65536;
constexpr std::size_t kMaxTopicBytes = 512;
constexpr std::uint64_t kMaxSide = 4096;
constexpr std::uint64_t kMaxPlaneBytes = kMaxSide * kMaxSide;
constexpr int kMaxDepth = 8;

struct WireError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Bytes {
  const std::uint8_t* data;
  std::size_t size;
};

// One msgpack value: of these fields, the one its kind names is set.
struct Value {
  enum class Kind { kNone, kInteger, kReal, kText, kList, kMap } kind = Kind::kNone;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<Value> list;
  std::map<std::string, Value> map;  // integer keys as text

  const Value& operator[](const std::string& key) const {
    const auto found = map.find(key);
    if (kind != Kind::kMap || found == map.end()) throw WireError("header lacks " + key);
    return found->second;
  }
  std::int64_t to_integer() const {
    if (kind != Kind::kInteger) throw WireError("header holds no integer where it should");
    return integer;
  }
  double to_real() const { return kind == Kind::kReal ? real : static_cast<double>(to_integer()); }
  const std::string& to_text() const {
    if (kind != Kind::kText) throw WireError("header holds no text where it should");
    return text;
  }
  const std::vector<Value>& to_list(std::size_t least = 0) const {
    if (kind != Kind::kList || list.size() < least) throw WireError("header holds no list where it should");
    return list;
  }
};

class Unpacker {
 public:
  explicit Unpacker(Bytes bytes) : bytes_(bytes) {}

  Value value(int depth = 0) {
    if (depth > kMaxDepth) throw WireError("header is nested too deep");
    const auto tag = static_cast<std::uint8_t>(big_endian(1));
    if (tag < 0x80) return integer(tag);
    if (tag < 0x90) return map(tag & 15, depth);
    if (tag < 0xa0) return list(tag & 15, depth);
    if (tag < 0xc0) return text(tag & 31);
    if (tag >= 0xe0) return integer(static_cast<std::int8_t>(tag));
    switch (tag) {
      case 0xca: return real32();
      case 0xcb: return real64();
      case 0xcc: return integer(static_cast<std::int64_t>(big_endian(1)));
      case 0xcd: return integer(static_cast<std::int64_t>(big_endian(2)));
      case 0xce: return integer(static_cast<std::int64_t>(big_endian(4)));
      case 0xcf: return integer(static_cast<std::int64_t>(big_endian(8)));
      case 0xd0: return integer(static_cast<std::int8_t>(big_endian(1)));
      case 0xd1: return integer(static_cast<std::int16_t>(big_endian(2)));
      case 0xd2: return integer(static_cast<std::int32_t>(big_endian(4)));
      case 0xd3: return integer(static_cast<std::int64_t>(big_endian(8)));
      case 0xd9: return text(big_endian(1));
      case 0xda: return text(big_endian(2));
      case 0xdc: return list(big_endian(2), depth);
      case 0xde: return map(big_endian(2), depth);
      default: throw WireError("header has an unknown type");
    }
  }

 private:
  std::uint64_t big_endian(std::size_t n) {
    if (n > bytes_.size - at_) throw WireError("header is cut short");
    std::uint64_t number = 0;
    for (std::size_t k = 0; k < n; ++k) number = number << 8 | bytes_.data[at_++];
    return number;
  }
  static Value integer(std::int64_t number) {
    Value value;
    value.kind = Value::Kind::kInteger;
    value.integer = number;
    return value;
  }
  Value real32() {
    const auto bits = static_cast<std::uint32_t>(big_endian(4));
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return real(number);
  }
  Value real64() {
    const std::uint64_t bits = big_endian(8);
    double number;
    std::memcpy(&number, &bits, sizeof number);
    return real(number);
  }
  static Value real(double number) {
    Value value;
    value.kind = Value::Kind::kReal;
    value.real = number;
    return value;
  }
  Value text(std::uint64_t n) {
    if (n > bytes_.size - at_) throw WireError("header is cut short");
    Value value;
    value.kind = Value::Kind::kText;
    value.text.assign(reinterpret_cast<const char*>(bytes_.data + at_), n);
    at_ += n;
    return value;
  }
  Value list(std::uint64_t n, int depth) {
    Value value;
    value.kind = Value::Kind::kList;
    for (std::uint64_t k = 0; k < n; ++k) value.list.push_back(this->value(depth + 1));
    return value;
  }
  Value map(std::uint64_t n, int depth) {
    Value value;
    value.kind = Value::Kind::kMap;
    for (std::uint64_t k = 0; k < n; ++k) {
      const Value key = this->value(depth + 1);
      const bool number = key.kind == Value::Kind::kInteger;
      value.map[number ? std::to_string(key.integer) : key.to_text()] = this->value(depth + 1);
    }
    return value;
  }

  Bytes bytes_;
  std::size_t at_ = 0;
};

struct Mask {
  Value header;
  std::size_t width = 0, height = 0;
  std::vector<std::uint8_t> ids;  // one byte per pixel, top row first; 0 does not sound
};

// Unpack a zlib stream that must hold exactly `length` bytes; stops one byte behind.
inline std::vector<std::uint8_t> inflate_exactly(const std::vector<Bytes>& parts, std::size_t length) {
  std::vector<std::uint8_t> out(length + 1);
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) throw WireError("zlib cannot start");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  int code = Z_OK;
  for (const Bytes& part : parts) {
    stream.next_in = const_cast<Bytef*>(part.data);
    stream.avail_in = static_cast<uInt>(part.size);
    while (stream.avail_in > 0 && code == Z_OK) code = inflate(&stream, Z_NO_FLUSH);
  }
  if (code != Z_STREAM_END || stream.total_out != length || stream.avail_in != 0) {
    throw WireError("payload is no zlib stream of the size announced");
  }
  out.resize(length);
  return out;
}

inline std::uint32_t little32(const std::uint8_t* p) {
  return p[0] | p[1] << 8 | p[2] << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}
inline std::uint32_t big32(const std::uint8_t* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

inline void read_planes(Bytes payload, Mask& mask) {
  const auto& ids = mask.header["class_ids"].to_list();
  const std::size_t plane = (mask.ids.size() + 7) / 8;
  if (plane * ids.size() > kMaxPlaneBytes) throw WireError("planes pass the limit");
  const auto bits = inflate_exactly({payload}, plane * ids.size());
  for (std::size_t k = 0; k < ids.size(); ++k) {
    const auto id = static_cast<std::uint8_t>(ids[k].to_integer());
    for (std::size_t i = 0; i < mask.ids.size(); ++i) {
      if (bits[k * plane + i / 8] >> (7 - i % 8) & 1) mask.ids[i] = id;
    }
  }
}

inline void read_runs(Bytes payload, Mask& mask) {
  const std::size_t runs = payload.size / 5;
  if (runs * 5 != payload.size) throw WireError("rle payload is no list of runs");
  std::size_t at = 0;
  for (std::size_t k = 0; k < runs; ++k) {
    const std::uint32_t length = little32(payload.data + 4 * k);
    if (length == 0 || length > mask.ids.size() - at) throw WireError("rle runs pass the mask");
    std::memset(mask.ids.data() + at, payload.data[4 * runs + k], length);
    at += length;
  }
  if (at != mask.ids.size()) throw WireError("rle runs do not fill the mask");
}

inline void read_png(Bytes payload, Mask& mask) {
  std::vector<Bytes> parts;
  for (std::size_t at = 8; payload.size >= 12 && at <= payload.size - 12;) {
    const std::size_t length = big32(payload.data + at);
    if (length > payload.size - at - 12) throw WireError("png is cut short");
    if (std::memcmp(payload.data + at + 4, "IDAT", 4) == 0) parts.push_back({payload.data + at + 8, length});
    at += 12 + length;
  }
  const auto rows = inflate_exactly(parts, (mask.width + 1) * mask.height);
  for (std::size_t y = 0; y < mask.height; ++y) {
    const std::uint8_t* row = rows.data() + y * (mask.width + 1);
    if (row[0] != 0) throw WireError("png uses filters");
    std::memcpy(mask.ids.data() + y * mask.width, row + 1, mask.width);
  }
}

// Header and class ids of one frame of profile "latest". Throws WireError.
inline Mask read_latest(Bytes frame) {
  const std::size_t searched = frame.size < kMaxTopicBytes ? frame.size : kMaxTopicBytes;
  const auto* end = static_cast<const std::uint8_t*>(searched ? std::memchr(frame.data, 0, searched) : nullptr);
  const std::size_t start = end ? static_cast<std::size_t>(end - frame.data) + 5 : 0;
  if (!end || start > frame.size) throw WireError("frame has no topic, or nothing behind it");
  const std::size_t length = little32(end + 1);
  if (length > kMaxHeaderBytes || length > frame.size - start) throw WireError("header is cut short");
  Mask mask;
  mask.header = Unpacker({frame.data + start, length}).value();
  const std::int64_t version = mask.header["v"].to_integer();
  if (version != 1) throw WireError("message is of version " + std::to_string(version) + ", this reads 1");
  const auto size = static_cast<std::uint64_t>(mask.header["payload_bytes"].to_list(1)[0].to_integer());
  if (size > frame.size - start - length) throw WireError("payload is cut short");
  const Bytes payload{frame.data + start + length, static_cast<std::size_t>(size)};
  const auto& sides = mask.header["mask_size"].to_list(2);
  for (const Value& side : sides) {
    if (side.to_integer() < 1 || side.to_integer() > static_cast<std::int64_t>(kMaxSide)) {
      throw WireError("mask has a side of " + std::to_string(side.to_integer()));
    }
  }
  mask.width = static_cast<std::size_t>(sides[0].integer);
  mask.height = static_cast<std::size_t>(sides[1].integer);
  mask.ids.assign(mask.width * mask.height, 0);
  const std::string& encoding = mask.header["encoding"].to_text();
  if (encoding == "packbits+zlib") {
    read_planes(payload, mask);
  } else if (encoding == "rle") {
    read_runs(payload, mask);
  } else if (encoding == "png") {
    read_png(payload, mask);
  } else if (encoding == "mono8" && payload.size == mask.ids.size()) {
    std::memcpy(mask.ids.data(), payload.data, payload.size);
  } else {
    throw WireError("cannot read encoding " + encoding);
  }
  return mask;
}

}  // namespace stream_avs

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: read_mask FRAME_FILE IDS_FILE\n";
    return 2;
  }
  std::ifstream in(argv[1], std::ios::binary);
  const std::vector<char> frame((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  try {
    const auto* data = reinterpret_cast<const std::uint8_t*>(frame.data());
    const stream_avs::Mask mask = stream_avs::read_latest({data, frame.size()});
    const stream_avs::Value& header = mask.header;
    std::cout << header["stream"].to_text() << ' ' << header["state"].to_text() << '\n'
              << header["t_capture_ns"].to_integer() << ' ' << header["clock_offset_ns"].to_integer() << '\n'
              << mask.width << ' ' << mask.height << '\n'
              << std::setprecision(17);
    for (const auto& number : header["transform"].to_list(6)) std::cout << number.to_real() << ' ';
    std::cout << '\n';
    for (const auto& sounding : header["sounding"].to_list()) {
      std::cout << sounding["class_id"].to_integer() << ' ' << sounding["score"].to_real() << ' '
                << sounding["name"].to_text() << '\n';
    }
    std::ofstream(argv[2], std::ios::binary)
        .write(reinterpret_cast<const char*>(mask.ids.data()), static_cast<std::streamsize>(mask.ids.size()));
  } catch (const stream_avs::WireError& error) {
    std::cerr << "read_mask: " << error.what() << '\n';
    return 1;
  }
  return 0;
}

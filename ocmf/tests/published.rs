//! Records that real meters and gateways have signed.
//!
//! Measured values, signatures and keys as published by S.A.F.E. e.V. with its transparency software
//! (Apache-2.0), in the files that each is named after.

use ocmf::{Charge, Curve, PublicKey, Record, Refusal, SignedRecord, TimeQuality, VerifyError};

#[track_caller]
fn verified(text: &str, key: &str) -> SignedRecord {
    let key = PublicKey::parse(key, None).expect("a key");
    SignedRecord::verified(Record::parse(text).expect("a record"), key).expect("it is signed")
}

/// What was charged, in Wh.
#[track_caller]
fn charged(records: &[SignedRecord]) -> (String, TimeQuality) {
    let charge = Charge::of(records, None).expect("a charge");
    (charge.energy_wh.to_string(), charge.time_quality)
}

/// test_ocmf_keba_kcp30.xml: secp256r1, no serial number of the meter, kWh with four places.
#[test]
fn keba_kcp30() {
    let text = r#"OCMF|{"FV":"1.0","GI":"KEBA_KCP30","GS":"17619300","GV":"2.8.5","PG":"T32","IS":false,"IL":"NONE","IF":["RFID_NONE","OCPP_NONE","ISO15118_NONE","PLMN_NONE"],"IT":"NONE","ID":"","RD":[{"TM":"2019-08-13T10:03:15,000+0000 I","TX":"B","EF":"","ST":"G","RV":0.2596,"RI":"1-b:1.8.0","RU":"kWh"},{"TM":"2019-08-13T10:03:36,000+0000 R","TX":"E","EF":"","ST":"G","RV":0.2597,"RI":"1-b:1.8.0","RU":"kWh"}]}|{"SD":"304502200E2F107C987A300AC1695CA89EA149A8CDFA16188AF0A33EE64B67964AA943F9022100889A72B6D65364BEA8562E7F6A0253157ACFF84FE4929A93B5964D23C4265699"}"#;
    let key = "3059301306072A8648CE3D020106082A8648CE3D030107034200043AEEB45C392357820A58FDFB0857BD77ADA31585C61C430531DFA53B440AFBFDD95AC887C658EA55260F808F55CA948DF235C2108A0D6DC7D4AB1A5E1A7955BE";
    let record = verified(text, key);
    assert_eq!(
        charged(&[record]),
        ("0.1".to_owned(), TimeQuality::Relative)
    );
    let altered = Record::parse(&text.replace("0.2597", "0.2598")).expect("a record");
    let key = PublicKey::parse(key, None).expect("a key");
    assert_eq!(altered.verify(&key), Err(VerifyError::DoesNotVerify));
}

/// test.xml: secp192r1, r without the zero that DER asks for, no `EF`.
#[test]
fn ebz_ld3() {
    let text = r#"OCMF|{"FV":"1.0","GI":"eBZ LD3","GS":"1EBZ0300034628","GV":"V207","MS":"1EBZ0300034628","PG":"T120","IS":true,"IL":"TRUSTED","IT":"EMAID","ID":"DKV_Testbox2","CI":"Dies","CT":"EVSEID","RD":[{"TM":"2022-10-27T19:38:50,000+0200 I","TX":"B","RV":2851485,"RI":"1-b:1.8.e","RU":"Wh","ST":"G"},{"TM":"2022-10-27T19:43:38,000+0200 I","TX":"E","RV":2851753,"RI":"1-b:1.8.e","RU":"Wh","ST":"G"}]}|{"SA":"ECDSA-secp192r1-SHA256","SD":"30340218e10a077929f593717affdff69a5df0d2862989a6638f873d0218007d21b1c0255c5b24a3c5a01d600839ebae2bb67bcb1159"}"#;
    let key = "3049301306072a8648ce3d020106082a8648ce3d030101033200041e155ef46fbcc56005769c08d792127c006c242ccccd96bf7051b6fbc278497036659e7bae57f542776a17c7f8b28600";
    let record = verified(text, key);
    assert_eq!(
        charged(&[record]),
        ("268".to_owned(), TimeQuality::Informative)
    );
}

/// test_ocmf_transaction_two_values.xml: secp192k1, a key in groups of digits, an error while charging.
#[test]
fn htb_with_secp192k1() {
    let text = r#"OCMF|{"FV":"1.0","GI":"HTB","GS":"HTBSerial","GV":"0.0.1","PG":"T12345","MV":"HTB","MM":"HTB","MS":"HTBGenerated1","MF":"1.0","IS":true,"IL":"VERIFIED","IF":["RFID_PLAIN","OCPP_RS_TLS"],"IT":"ISO14443","ID":"8D2E2D536DCFD0","CI":"HTB","CT":"CBIDC","RD":[{"TM":"2019-04-02T17:28:45,867+0200 S","TX":"B","RV":3.51824,"RI":"1-b:1.8.e","RU":"kWh","EI":1523,"ST":"G"},{"TM":"2019-04-02T17:28:45,867+0200 S","TX":"X","RV":7.01047,"RI":"1-b:1.8.e","RU":"kWh","EI":1523,"ST":"G"}]}|{"SA":"ECDSA-secp192k1-SHA256","SD":"303402185A5E62A58B45C10C37166B7E43D26296D79C450DF30C2FA4021822099CFAEB793D9246FAE130C93964B43FC4C5F2CF1732E1"}"#;
    let key = "30 46 30 10 06 07 2A 86 48 CE 3D 02 01 06 05 2B 81 04 00 1F 03 32 00 04 C2 00 65 42 21 8B B2 7F 5E 0B 94 5C 5F 9D 15 88 67 B6 66 B3 BB 44 14 AB C6 56 94 89 A8 F7 98 50 20 C7 7F 0F 32 A4 B4 E1 83 A3 05 61 27 C3 48 69";
    let record = verified(text, key);
    assert_eq!(record.key().map(PublicKey::curve), Some(Curve::Secp192k1));
    assert_eq!(Charge::of(&[record], None), Err(Refusal::Exception));
}

/// brainpoolP256r1.xml: begin and end in two records, the curve by its other name.
#[test]
fn nzr_ecocount() {
    let key = "305A301406072A8648CE3D020106092B240303020801010703420004607201339EF7C61EB1270C0BEA675585711CB160835F0F55975A311EA6F14AE98981A9276ABC6C70ADA4F8CE25A5502336C738B9E86FB1ED62150FF1B0FAD5A2";
    let begin = r#"OCMF|{"FV":"1.0","GI":"NZR GATEWAY","GS":"21751020","GV":"1.0.0.0","PG":"T274","MV":"NZR","MM":"EcoCount SL","MS":"12345678","MF":"1.11","IS":false,"IL":"NONE","IF":[],"IT":"NONE","ID":"","CT":"","CI":"","RD":[{"TM":"2021-10-26T11:15:09,000+0000 S","TX":"B","RV":1833,"RI":"1-0:1.8.1","RU":"Wh","RT":"AC","EF":"","ST":"G"}]}|{"SD":"304402202CC410E10CD9141394AE77B3DC17A523C359F65B0117C098703DF1F2AB773A3302204C6CC011FE4920F87CF413F6FB94EDD78DAA26BB5DB4048DA9B3D3AB513CC23C","SA":"ECDSA-brainpoolP256r1-SHA256"}"#;
    let end = r#"OCMF|{"FV":"1.0","GI":"NZR GATEWAY","GS":"21751020","GV":"1.0.0.0","PG":"T275","MV":"NZR","MM":"EcoCount SL","MS":"12345678","MF":"1.11","IS":false,"IL":"NONE","IF":[],"IT":"NONE","ID":"","CT":"","CI":"","RD":[{"TM":"2021-10-26T11:15:12,000+0000 S","TX":"E","RV":1833,"RI":"1-0:1.8.1","RU":"Wh","RT":"AC","EF":"","ST":"G"}]}|{"SD":"304402202E573CC84746A5FDC4DDDE74A2C859C5FFB681D3F839C12AF460BD092EBB53A4022049DBE3A14F60F77571AF6321AD7FBE25157731161178B04EF4B9B3AEFBE404FB","SA":"ECDSA-brainpoolP256r1-SHA256"}"#;
    let records = [verified(begin, key), verified(end, key)];
    assert_eq!(
        charged(&records),
        ("0".to_owned(), TimeQuality::Synchronized)
    );
}

/// OCMF_Test_Data_00.xml: secp256k1 with the larger s, numbers as padded texts, a key in base64.
#[test]
fn dzg_dvh4013() {
    let text = r#"OCMF|{"FV" : "1.0","GI" : "Nano CH-10311C","GS" : "060643","GV" : "v017","PG" : "T198","MV" : "DZG","MM" : "DVH4013","MS" : "1DZG0033016824","IS" : true,"IL" : "VERIFIED","IF" : ["RFID_NONE","OCPP_NONE","ISO15118_NONE","PLMN_NONE"],"IT" : "EMAID","ID" : "04ab076a345b85","CT" : "CBIDC","CI" : "CI","RD" : [{"TM" : "2021-10-26T10:20:52,000+0200 I","TX" : "B","RV" : "       9.038","RI" : "01-00:01.08.00.FF","RU" : "kWh","RT" : "AC","EF" : "","ST" : "G"}]}|{"SA" : "ECDSA-secp256k1-SHA256","SD" : "3046022100A4C188533ECA1793336520F7F99E010E62DEC32ABD344A562B00D396F65DFFE9022100CB0FB3782E406525641D689F4326D2118365A722EE75AAAB976C14B090BE49DA"}"#;
    let key = "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEqHEykfqZhspgok6zCQh/329B38xine8ujzT8p5Nh7lek47cYeZj507aN6E4/QirF1b7Q57ln4VGfK6h0d0GOQA==";
    let record = verified(text, key);
    let reading = &record.record().payload().readings[0];
    assert_eq!(reading.energy_wh().expect("energy").to_string(), "9038");
    assert_eq!(Charge::of(&[record], None), Err(Refusal::NoEnd));
}

/// VW_OCMF_load.xml: import and export in turn, what is the same left out.
#[test]
fn lem_dcbm() {
    let text = r#"OCMF|{"FV":"1.0","GI":"LEM DCBM","GS":"1211751603","GV":"v1","PG":"T144","MV":"LEM","MS":"1211751603","MF":"MU-0.1.4.0_SU-0.0.8.0","IS":true,"IL":"HEARSAY","IF":["RFID_RELATED","OCPP_AUTH_TLS","ISO15118_NONE","PLMN_NONE"],"IT":"ISO14443","ID":"5EEFE0C7F64B050E9FB95C","CT":"EVSEID","CI":"458877","RD":[{"TM":"2021-10-06T13:13:56,000+0200 R","TX":"B","RV":57.584,"RI":"1-0:1.8.0","RU":"kWh","RT":"DC","EF":"","ST":"G","UC":{"UN":"No_Comp","UI":2,"UR":0}},{"RV":4.405,"RI":"1-0:2.8.0","RU":"kWh","ST":"G"},{"TM":"2021-10-06T13:15:13,000+0200 R","TX":"E","RV":58.685,"RI":"1-0:1.8.0","RU":"kWh","ST":"G"},{"RV":4.405,"RI":"1-0:2.8.0","RU":"kWh","ST":"G"}]}|{"SA":"ECDSA-secp256r1-SHA256","SD":"3045022100E1C80E7115294A3A4D10CFF8B94E959F941415E19A0913A0538312E585E1A37702200A2BE1B235C152CFC7555064A96533F192A8A1D4E0484C68FD46574947A3D9BA"}"#;
    let key = "3059301306072A8648CE3D020106082A8648CE3D03010703420004CE6FD2090A85FDE4A69B58EF00FDE362833AD8C70F8E8027CAAC655C0BB02F6B1A44558C78B386FF0BC3A4BBE6C81A4F8133134DB05DAE91E2AA309C07A5128B";
    let record = verified(text, key);
    assert_eq!(
        charged(&[record]),
        ("1101".to_owned(), TimeQuality::Relative)
    );
}

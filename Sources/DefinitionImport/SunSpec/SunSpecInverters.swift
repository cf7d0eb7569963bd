/// Models of inverters and their nameplates, settings, status and MPP trackers (SunSpec models 1, 101 to 103, 111 to 113, 120 to 122, 160).
extension SunSpecModel {
    static let inverters: [SunSpecModel] = [
        SunSpecModel(
            [1], "common",
            """
            Mn string16; Md string16; Opt string8; Vr string8; SN string16; DA uint16; Pad pad1;
            """),
        SunSpecModel(
            [101, 102, 103], "inverter",
            """
            A uint16 A A_SF; AphA uint16 A A_SF; AphB uint16 A A_SF; AphC uint16 A A_SF; A_SF sunssf; PPVphAB uint16 V V_SF;
            PPVphBC uint16 V V_SF; PPVphCA uint16 V V_SF; PhVphA uint16 V V_SF; PhVphB uint16 V V_SF; PhVphC uint16 V V_SF;
            V_SF sunssf; W int16 W W_SF; W_SF sunssf; Hz uint16 Hz Hz_SF; Hz_SF sunssf; VA int16 V.A VA_SF; VA_SF sunssf;
            VAr int16 V.A{reactive} VAr_SF; VAr_SF sunssf; PF int16 % PF_SF; PF_SF sunssf; WH acc32 W.h WH_SF; WH_SF sunssf;
            DCA uint16 A DCA_SF; DCA_SF sunssf; DCV uint16 V DCV_SF; DCV_SF sunssf; DCW int16 W DCW_SF; DCW_SF sunssf;
            TmpCab int16 Cel Tmp_SF; TmpSnk int16 Cel Tmp_SF; TmpTrns int16 Cel Tmp_SF; TmpOt int16 Cel Tmp_SF; Tmp_SF sunssf;
            St enum16; StVnd enum16; Evt1 bitfield32; Evt2 bitfield32; EvtVnd1 bitfield32; EvtVnd2 bitfield32; EvtVnd3 bitfield32;
            EvtVnd4 bitfield32;
            """),
        SunSpecModel(
            [111, 112, 113], "inverter",
            """
            A float32 A; AphA float32 A; AphB float32 A; AphC float32 A; PPVphAB float32 V; PPVphBC float32 V; PPVphCA float32 V;
            PhVphA float32 V; PhVphB float32 V; PhVphC float32 V; W float32 W; Hz float32 Hz; VA float32 V.A;
            VAr float32 V.A{reactive}; PF float32 %; WH float32 W.h; DCA float32 A; DCV float32 V; DCW float32 W;
            TmpCab float32 Cel; TmpSnk float32 Cel; TmpTrns float32 Cel; TmpOt float32 Cel; St enum16; StVnd enum16;
            Evt1 bitfield32; Evt2 bitfield32; EvtVnd1 bitfield32; EvtVnd2 bitfield32; EvtVnd3 bitfield32; EvtVnd4 bitfield32;
            """),
        SunSpecModel(
            [120], "nameplate",
            """
            DERTyp enum16; WRtg uint16 W WRtg_SF; WRtg_SF sunssf; VARtg uint16 V.A VARtg_SF; VARtg_SF sunssf;
            VArRtgQ1 int16 V.A{reactive} VArRtg_SF; VArRtgQ2 int16 V.A{reactive} VArRtg_SF; VArRtgQ3 int16 V.A{reactive} VArRtg_SF;
            VArRtgQ4 int16 V.A{reactive} VArRtg_SF; VArRtg_SF sunssf; ARtg uint16 A ARtg_SF; ARtg_SF sunssf;
            PFRtgQ1 int16 - PFRtg_SF; PFRtgQ2 int16 - PFRtg_SF; PFRtgQ3 int16 - PFRtg_SF; PFRtgQ4 int16 - PFRtg_SF;
            PFRtg_SF sunssf; WHRtg uint16 W.h WHRtg_SF; WHRtg_SF sunssf; AhrRtg uint16 A.h AhrRtg_SF; AhrRtg_SF sunssf;
            MaxChaRte uint16 W MaxChaRte_SF; MaxChaRte_SF sunssf; MaxDisChaRte uint16 W MaxDisChaRte_SF; MaxDisChaRte_SF sunssf;
            Pad pad1;
            """),
        SunSpecModel(
            [121], "settings",
            """
            WMax uint16 W WMax_SF; VRef uint16 V VRef_SF; VRefOfs int16 V VRefOfs_SF; VMax uint16 V VMinMax_SF;
            VMin uint16 V VMinMax_SF; VAMax uint16 V.A VAMax_SF; VArMaxQ1 int16 V.A{reactive} VArMax_SF;
            VArMaxQ2 int16 V.A{reactive} VArMax_SF; VArMaxQ3 int16 V.A{reactive} VArMax_SF; VArMaxQ4 int16 V.A{reactive} VArMax_SF;
            WGra uint16 %/s WGra_SF; PFMinQ1 int16 - PFMin_SF; PFMinQ2 int16 - PFMin_SF; PFMinQ3 int16 - PFMin_SF;
            PFMinQ4 int16 - PFMin_SF; VArAct enum16; ClcTotVA enum16; MaxRmpRte uint16 % MaxRmpRte_SF;
            ECPNomHz uint16 Hz ECPNomHz_SF; ConnPh enum16; WMax_SF sunssf; VRef_SF sunssf; VRefOfs_SF sunssf; VMinMax_SF sunssf;
            VAMax_SF sunssf; VArMax_SF sunssf; WGra_SF sunssf; PFMin_SF sunssf; MaxRmpRte_SF sunssf; ECPNomHz_SF sunssf;
            """),
        SunSpecModel(
            [122], "status",
            """
            PVConn bitfield16; StorConn bitfield16; ECPConn bitfield16; ActWh acc64 W.h; ActVAh acc64 V.A.h;
            ActVArhQ1 acc64 V.A.h{reactive}; ActVArhQ2 acc64 V.A.h{reactive}; ActVArhQ3 acc64 V.A.h{reactive};
            ActVArhQ4 acc64 V.A.h{reactive}; VArAval int16 V.A{reactive} VArAval_SF; VArAval_SF sunssf;
            WAval uint16 V.A{reactive} WAval_SF; WAval_SF sunssf; StSetLimMsk bitfield32; StActCtl bitfield32; TmSrc string4;
            Tms uint32 s; RtSt bitfield16; Ris uint16 Ohm Ris_SF; Ris_SF sunssf;
            """),
        SunSpecModel(
            [160], "mppt",
            """
            DCA_SF sunssf; DCV_SF sunssf; DCW_SF sunssf; DCWH_SF sunssf; Evt bitfield32; N count; TmsPer uint16;
            """,
            repeating: "module",
            """
            ID uint16; IDStr string8; DCA uint16 A DCA_SF; DCV uint16 V DCV_SF; DCW uint16 W DCW_SF; DCWH acc32 W.h DCWH_SF;
            Tms uint32 s; Tmp int16 Cel; DCSt enum16; DCEvt bitfield32;
            """),
    ]
}
